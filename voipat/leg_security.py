"""The keys of one port: from its SDP at once, or from a handshake over its socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from media import CryptoError, Port, SrtpKeys, maybe_suite
from media.dtls import DtlsAssociation
from sipcore.errors import SecurityError
from sipcore.flow import Address
from sipcore.routing import UNSPECIFIED
from sipcore.sdp_security import Dtls, Sdes, Security
from voipat.handshake import Handshake, same_association

if TYPE_CHECKING:
    from voipat.media_plane import MediaPlane


class LegSecurity:
    """Seals and opens what goes through a port, as offers and answers say. `on_failure` is told why it cannot."""

    __slots__ = (
        "_found",
        "_handshake",
        "_handshake_with",
        "_on_failure",
        "_plane",
        "_port",
        "_remote",
        "_takes_flights",
        "suite",
    )

    def __init__(self, plane: MediaPlane, port: Port, on_failure: Callable[[str], None]) -> None:
        self._plane = plane
        self._port = port
        # A way back to the leg: let go of at the end, so that it is freed without the collector.
        self._on_failure: Callable[[str], None] | None = on_failure
        self._handshake: Handshake | None = None
        self._handshake_with: Dtls | None = None
        self._found: Security | None = None
        self._remote: Address | None = None
        self._takes_flights = False
        self.suite: str | None = None

    def agreed(self, found: Security | None, remote: Address) -> None:
        """Seal and open from now on as was agreed; the same agreement again changes nothing. Raises: SecurityError."""
        before, self._found = self._found, found
        was_at, self._remote = self._remote, remote
        if isinstance(found, Sdes):
            self._end_handshake()
            self._takes_flights = False
            suite = maybe_suite(found.suite)
            if suite is None:
                raise SecurityError(f"{found.suite} is not available")
            # RFC 4568 §7.1.4: another address with another key starts anew.
            moved = was_at is not None and was_at != remote and before != found
            self._install(SrtpKeys(suite, found.send, found.receive, found.mki_length), None, fresh=moved)
        elif isinstance(found, Dtls):
            self._shake_hands(found, remote)

    def receive_flight(self, datagram: bytes, source: tuple[str, int]) -> None:
        """A datagram of DTLS came to the port."""
        if self._handshake is not None:
            self._handshake.receive(datagram, source)

    def close(self) -> None:
        """The port is about to be given back."""
        self._end_handshake()
        self._on_failure = None

    def _install(self, keys: SrtpKeys, peer: tuple[str, int] | None, *, fresh: bool) -> None:
        try:
            self._plane.engine.secure(self._port, keys, source=peer, fresh=fresh)
        except CryptoError as error:
            self._fail(str(error))
        else:
            self.suite = keys.suite.name

    def _shake_hands(self, found: Dtls, remote: Address) -> None:
        """One association for a session, until the other side has another certificate or another part (RFC 8842 §5)."""
        if self._handshake_with is not None and same_association(self._handshake_with, found):
            return
        self._end_handshake()
        if not self._takes_flights:
            # The keys of before, which were in SDP, prove nothing of who is at the other end of the handshake.
            self._plane.engine.await_keys(self._port, dtls=True)
            self._takes_flights, self.suite = True, None
        if found.role is None:
            return
        plane = self._plane
        expected = frozenset((each.algorithm, each.digest) for each in found.fingerprints)
        self._handshake_with = found
        self._handshake = Handshake(
            DtlsAssociation(plane.security.context, found.role, expected),
            loop=plane.loop,
            executor=plane.executor,
            send=self._send_flight,
            on_keys=self._has_keys,
            on_failure=self._fail,
            peer=None if remote.host in UNSPECIFIED else (remote.host, remote.port),
        )
        self._handshake.start()

    def _send_flight(self, datagram: bytes, peer: tuple[str, int]) -> None:
        if self._on_failure is not None:
            self._plane.engine.send_flight(self._port, datagram, peer)

    def _has_keys(self, keys: SrtpKeys, peer: tuple[str, int]) -> None:
        if self._on_failure is not None:
            self._install(keys, peer, fresh=False)

    def _fail(self, cause: str) -> None:
        if self._on_failure is not None:
            self._on_failure(cause)

    def _end_handshake(self) -> None:
        if self._handshake is not None:
            self._handshake.close()
        self._handshake = self._handshake_with = None
