"""aiosipua (PyPI), a SIP stack of its own in asyncio, as a phone; its media is an `RtpTone`.

The package comes with `make interop` alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from bench.rig.processes import wait_until
from tests.interop.rtp_tone import RtpTone
from tests.interop.tones import Samples

T = TypeVar("T")


class Aiosipua:
    """One phone, in a thread of its own. With `early` it plays its tone while it rings, and wants a PRACK for that."""

    def __init__(
        self, _: Path, *, user: str, password: str, server: str, port: int, frequency: float, host: str, transport: str,
        trusted: Path | None = None, early: bool = False, session_s: int | None = None,
    ) -> None:  # fmt: skip
        import aiosipua

        self._library: Any = aiosipua
        self.user, self._host, self._early, self._session_s = user, host, early, session_s
        at, _, number = server.rpartition(":")
        self._server = at.strip("[]"), int(number)
        self._password = password
        self.media = RtpTone(host, frequency)
        self._call: Any = None
        self._talking = self._ringing = False
        self.lines: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(lambda: self._start(port, transport))

    async def _start(self, port: int, transport: str) -> None:
        kind = self._library.TcpSipTransport if transport == "tcp" else self._library.UdpSipTransport
        self._transport = kind(local_addr=(self._host, port))
        self._uac = self._library.SipUAC(self._transport)
        self._uas = self._library.SipUAS(self._transport, uac=self._uac, session_expires=self._session_s)
        self._uas.on_invite = self._on_invite
        self._uas.on_bye = lambda *_: self._ended()
        self._uas.on_cancel = lambda *_: self._ended()
        self._uas.on_reinvite = lambda call: call.accept(self._answer_to(call.sdp_offer))
        self._uas.on_update = lambda call, request: self._answer_to(call.sdp_offer) if request.body else None
        self._uas.on_transfer_progress = self._on_transfer
        await self._uas.start()
        self._listen_in()
        if transport == "tcp":
            await self._transport.connect(self._server)
        self._registration = self._library.Registration(
            self._uac, f"sip:{self.user}@office.test", self._server, auth=self._credentials()
        )
        self._registration.register()

    def _listen_in(self) -> None:
        """Notes the first line of every message."""
        took, send, reply = self._transport.on_message, self._transport.send, self._transport.send_reply

        def taken(message: Any, address: Any) -> None:
            self.lines.append(f"< {_first_line(message)}")
            took(message, address)

        def sent(message: Any, address: Any) -> None:
            self.lines.append(f"> {_first_line(message)}")
            send(message, address)

        def replied(message: Any) -> None:
            self.lines.append(f"> {_first_line(message)}")
            reply(message)

        self._transport.on_message, self._transport.send, self._transport.send_reply = taken, sent, replied

    def _credentials(self) -> Any:
        return self._library.SipDigestAuth(username=self.user, password=self._password)

    def _offer(self, direction: str = "sendrecv") -> Any:
        offer = self._library.build_sdp(
            local_ip=self._host, rtp_port=self.media.port, payload_type=0, codec_name="PCMU"
        )
        attributes = offer.audio.attributes
        attributes[direction] = attributes.pop("sendrecv")
        return offer

    def _answer_to(self, offer: Any) -> Any:
        if offer is None:
            return self._offer()
        self.media.remote = offer.rtp_address
        answer, _ = self._library.negotiate_sdp(
            offer=offer, local_ip=self._host, rtp_port=self.media.port, supported_codecs=[0]
        )
        return answer

    def _on_invite(self, call: Any) -> None:
        self._call, self._ringing = call, True
        if self._early:
            call.ringing(early_sdp=self._answer_to(call.sdp_offer), reliable=True)
        else:
            call.ringing()

    def _on_transfer(self, _: str, status: int, reason: str) -> None:
        if status >= 200 and self._call is not None:
            self._hang_up()

    def _ended(self) -> None:
        self._call, self._talking, self._ringing, self.media.remote = None, False, False, None

    def _on_answer(self, call: Any) -> None:
        self.media.remote, self._talking = call.sdp_answer.rtp_address, True

    def _do(self, act: Callable[[], Awaitable[T] | T]) -> T:
        """In its thread."""

        async def acting() -> T:
            result = act()
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(20)

    def wait_registered(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self._registration.state.value == "registered", timeout, f"{self.user} is registered")

    def dial(self, target: str) -> None:
        def act() -> None:
            self._call = self._uac.send_invite(
                f"sip:{self.user}@office.test", f"sip:{target}@office.test", self._server, self._offer(),
                auth=self._credentials(), session_expires=self._session_s,
            )  # fmt: skip
            self._call.on_answer = self._on_answer
            self._call.on_rejected = lambda *_: self._ended()

        self._do(act)

    def answer(self, timeout: float = 20.0) -> None:
        """Takes the call that rings."""
        wait_until(lambda: self._ringing, timeout, f"{self.user} rings: {self.lines[-6:]}")

        def act() -> None:
            self._call.accept(self._answer_to(self._call.sdp_offer))
            self._talking, self._ringing = True, False

        self._do(act)

    def wait_talking(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self._talking, timeout, f"{self.user} talks: {self.lines[-6:]}")

    def hold(self) -> None:
        """Of a call that it made."""
        self._do(lambda: self._uac.send_reinvite(self._call.dialog, self._offer("sendonly"), self._server))

    def resume(self) -> None:
        self._do(lambda: self._uac.send_reinvite(self._call.dialog, self._offer(), self._server))

    def transfer(self, target: str) -> None:
        """Blind: who is at the other end of a call that it made."""
        self._do(lambda: self._uac.send_refer(self._call.dialog, f"sip:{target}@office.test", self._server))

    def hang_up(self) -> None:
        self._do(self._hang_up)

    def _hang_up(self) -> None:
        if isinstance(self._call, self._library.OutgoingCall):
            self._call.hangup(self._uac)
        else:
            self._call.hangup()
        self._ended()

    def wait_no_call(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self._call is None, timeout, f"{self.user} has no call: {self.lines[-6:]}")

    def mark(self) -> None:
        self.media.mark()

    def heard(self) -> Samples:
        return self.media.heard()

    async def _stop(self) -> None:
        # It forgets connections whose readers it cancels, and would leave them open.
        writers = [writer for _, writer in getattr(self._transport, "_connections", {}).values()]
        await self._uas.stop()
        for writer in writers:
            writer.close()

    def close(self) -> None:
        self._do(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.media.close()


def _first_line(message: Any) -> str:
    return bytes(message).split(b"\r\n", 1)[0].decode()
