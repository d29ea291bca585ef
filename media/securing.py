"""SRTP in the ports of an engine: pylibsrtp owns the sessions, the workers use them through their addresses."""

from __future__ import annotations

from dataclasses import dataclass

from pylibsrtp import Policy, Session

from media._engine import CRYPTO_AWAITED, CRYPTO_OFF, CRYPTO_ON, Core
from media.errors import CryptoError
from media.keys import (
    AES_CM_80,
    SrtpKeys,
    library_functions,
    policy_address,
    receive_session,
    send_policy,
    session_address,
)
from media.port import Pair, Port


@dataclass(slots=True)
class _Secured:
    """The SRTP of a port: its keys, the sessions that they are in, and what these were made of."""

    keys: SrtpKeys
    sender: Session
    receiver: Session
    policy: Policy


class Securing:
    """What each port's SRTP is made of; the rest is the workers'."""

    def __init__(self, core: Core) -> None:
        """Raises: CryptoError for a library that is not what it was."""
        self._core = core
        self._secured: dict[int, _Secured] = {}
        self._ssrcs: dict[int, int] = {}
        self._carrying: set[int] = set()
        core.use_srtp(library_functions())
        self._check_srtp()

    def _check_srtp(self) -> None:
        """One packet through libsrtp's addresses, so that a library that has changed is found before a call is."""
        material = bytes(range(AES_CM_80.material))
        keys = SrtpKeys(AES_CM_80, material, material)
        packet = bytes((0x80, 0, 0, 1, *bytes(4), 0, 0, 0, 1, *range(20)))
        sender, receiver = Session(send_policy(keys, 1)), receive_session(keys)
        try:
            sealed, opened = self._core.try_srtp(session_address(sender), session_address(receiver), packet)
        except ValueError as error:
            raise CryptoError(str(error)) from None
        if opened != packet or receive_session(keys).unprotect(sealed) != packet:
            raise CryptoError("libsrtp does not give back what it was given")

    def opened(self, port: Port, ssrc: int) -> None:
        """A new port, and the source that it sends as."""
        self._ssrcs[port.id] = ssrc

    def carries(self, port: Port) -> None:
        """What is carried keeps the numbers of its streams, whatever these are."""
        self._carrying.add(port.id)

    def closed(self, port: Port) -> None:
        """It is gone."""
        del self._ssrcs[port.id]
        self._secured.pop(port.id, None)
        self._carrying.discard(port.id)

    def clear(self) -> None:
        """The workers have ended."""
        self._secured.clear()

    def secure(self, port: Port, keys: SrtpKeys, *, source: Pair | None, fresh: bool) -> None:
        """As `Engine.secure`."""
        before = self._secured.get(port.id)
        if before is not None and before.keys == keys and not fresh:
            return
        policy = send_policy(keys, None if port.id in self._carrying else self._ssrcs[port.id])
        sender, receiver, update, continues = self._sessions(port, before, keys, policy, fresh=fresh)
        secured = _Secured(keys, sender, receiver, policy)
        suite = keys.suite
        self._core.set_crypto(
            port.id,
            CRYPTO_ON,
            session_address(sender),
            session_address(receiver),
            policy_address(policy) if update else 0,
            self._core.peer_ssrc(port.id),
            (keys.mki_length, suite.tail, suite.rtcp_tail),
            source is not None,
            continues,
            source,
            secured,
        )
        self._secured[port.id] = secured

    def _sessions(
        self, port: Port, before: _Secured | None, keys: SrtpKeys, policy: Policy, *, fresh: bool
    ) -> tuple[Session, Session, bool, bool]:
        """Sender, receiver; whether the sender gets the policy put in, whether the receiver takes over from another."""
        if before is None:
            return Session(policy), receive_session(keys), False, False
        same = before.keys.suite == keys.suite and before.keys.mki_length == keys.mki_length
        update = before.keys.send != keys.send or not same
        if same and before.keys.receive == keys.receive and not fresh:
            return before.sender, before.receiver, update, False
        # Both generations are tried on each packet while they overlap: their layout must be one.
        continues = same and not fresh
        ssrc = self._core.peer_ssrc(port.id) if continues else 0
        return before.sender, receive_session(keys, ssrc), update, continues

    def await_keys(self, port: Port, *, dtls: bool) -> None:
        """As `Engine.await_keys`."""
        self._secured.pop(port.id, None)
        self._core.set_crypto(port.id, CRYPTO_AWAITED, 0, 0, 0, 0, (0, 0, 0), dtls, False, None, None)

    def unsecure(self, port: Port) -> None:
        """As `Engine.unsecure`."""
        self._secured.pop(port.id, None)
        self._core.set_crypto(port.id, CRYPTO_OFF, 0, 0, 0, 0, (0, 0, 0), False, False, None, None)
