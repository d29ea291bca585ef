"""sippy (PyPI), a SIP stack and B2BUA in Python, as a phone; its media is an `RtpTone`.

Its event loop, address and port are one for the process: one phone at a time. The package comes with `make interop`
alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.rig.processes import wait_until
from tests.interop.rtp_tone import RtpTone
from tests.interop.tones import Samples


class Sippy:
    """One phone. With `early` it plays its tone while it rings."""

    def __init__(
        self, directory: Path, *, user: str, password: str, server: str, port: int, frequency: float, host: str,
        transport: str, trusted: Path | None = None, early: bool = False,
    ) -> None:  # fmt: skip
        from sippy import UA, CCEvents, MsgBody, SipConf, SipLogger, SipRegistrationAgent, SipTransactionManager, SipURL
        from sippy.Core.EventDispatcher import ED2

        self._events, self._body_of, self._agent, self._loop = CCEvents, MsgBody.MsgBody, UA.UA, ED2
        self.user, self._password, self._early = user, password, early
        bracketed = f"[{host}]" if ":" in host else host
        self._host, self._bracketed = host, bracketed
        at, _, number = server.rpartition(":")
        self._server = at, int(number)
        self.media = RtpTone(host, frequency)
        self.registered = False
        self._call: Any = None
        self._talking = self._ringing = False
        self.seen: list[str] = []
        directory.mkdir(parents=True, exist_ok=True)
        SipConf.SipConf.my_address, SipConf.SipConf.my_port = bracketed, port
        SipConf.SipConf.my_uaname = "sippy"
        logger = SipLogger.SipLogger("phone", logfile=str(directory / "sip.log"))
        self._global = {"_sip_address": bracketed, "_sip_port": port, "_sip_logger": logger, "nh_addr": self._server}
        self._global["_sip_tm"] = SipTransactionManager.SipTransactionManager(self._global, self._on_request)
        place = SipURL.SipURL(username=user, host=at, port=int(number))
        contact = SipURL.SipURL(username=user, host=bracketed, port=port)
        self._registration = SipRegistrationAgent.SipRegistrationAgent(
            self._global, place, contact, user, password, 120, self._on_registered, target=(self._server, "udp")
        )
        self._thread = threading.Thread(target=ED2.loop, daemon=True)
        self._thread.start()
        self._do(self._registration.doregister)

    def _on_registered(self, *_: object) -> None:
        self.registered = True

    def _on_request(self, request: Any, transaction: Any) -> Any:
        if request.getMethod() != "INVITE" or request.getHFBody("to").getTag() is not None:
            known = request.getMethod() in ("NOTIFY", "OPTIONS")
            return (
                request.genResponse(*((200, "OK") if known else (481, "Call Leg/Transaction Does Not Exist"))),
                None,
                None,
            )
        self._call = self._agent(self._global, self._on_event)
        return self._call.recvRequest(request, transaction)

    def _on_event(self, event: Any, agent: Any) -> None:
        kind = type(event).__name__.removeprefix("CCEvent")
        self.seen.append(kind)
        match kind:
            case "Try":
                self._hear_of(event.getData()[3])
                self._ringing = True
                ring = (183, "Session Progress", self._sdp()) if self._early else (180, "Ringing", None)
                agent.recvEvent(self._events.CCEventRing(ring))
            case "Connect":
                self._hear_of(event.getData()[2])
                self._talking = True
            case "Update":
                self._hear_of(event.getData())
                agent.recvEvent(self._events.CCEventConnect((200, "OK", self._sdp())))
            case "Disconnect" | "Fail":
                self._ended()

    def _ended(self) -> None:
        self._call, self._talking, self._ringing, self.media.remote = None, False, False, None

    def _hear_of(self, body: Any) -> None:
        if body is None:
            return
        body.parse()
        section = body.content.sections[0]
        self.media.remote = section.c_header.addr.strip("[]"), int(section.m_header.port)

    def _sdp(self, direction: str = "sendrecv") -> Any:
        family = "IP6" if ":" in self._host else "IP4"
        lines = ["v=0", f"o=- {len(self.seen) + 1} {len(self.seen) + 1} IN {family} {self._host}", "s=-"]
        lines += [f"c=IN {family} {self._host}", "t=0 0", f"m=audio {self.media.port} RTP/AVP 0"]
        body = self._body_of("\r\n".join([*lines, "a=rtpmap:0 PCMU/8000", f"a={direction}", ""]))
        body.parse()
        body.needs_update = False
        return body

    def _do(self, act: Callable[..., object], *arguments: object) -> None:
        """In its thread."""
        self._loop.callFromThread(act, *arguments)

    def wait_registered(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self.registered, timeout, f"{self.user} is registered")

    def dial(self, target: str) -> None:
        def act() -> None:
            self._call = self._agent(
                self._global, self._on_event, username=self.user, password=self._password, nh_address=self._server
            )
            self._call.useRefer = True
            self._call.recvEvent(self._events.CCEventTry((None, self.user, target, self._sdp(), None, self.user)))

        self._do(act)

    def answer(self, timeout: float = 20.0) -> None:
        """Takes the call that rings."""
        wait_until(lambda: self._ringing, timeout, f"{self.user} rings: {self.seen[-6:]}")
        self._ringing = False
        self._do(lambda: self._call.recvEvent(self._events.CCEventConnect((200, "OK", self._sdp()))))
        self._talking = True

    def wait_talking(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self._talking, timeout, f"{self.user} talks: {self.seen[-6:]}")

    def hold(self) -> None:
        self._do(lambda: self._call.recvEvent(self._events.CCEventUpdate(self._sdp("sendonly"))))

    def resume(self) -> None:
        self._do(lambda: self._call.recvEvent(self._events.CCEventUpdate(self._sdp())))

    def transfer(self, target: str) -> None:
        """Blind, by a REFER after which it hangs up at once."""
        from sippy import SipAddress, SipURL

        def act() -> None:
            at, port = self._server
            place = SipAddress.SipAddress(url=SipURL.SipURL(username=target, host=at, port=port), hadbrace=True)
            self._call.recvEvent(self._events.CCEventDisconnect(place))
            self._ended()

        self._do(act)

    def hang_up(self) -> None:
        def act() -> None:
            self._call.recvEvent(self._events.CCEventDisconnect())
            self._ended()

        self._do(act)

    def wait_no_call(self, timeout: float = 20.0) -> None:
        wait_until(lambda: self._call is None, timeout, f"{self.user} has no call: {self.seen[-6:]}")

    def mark(self) -> None:
        self.media.mark()

    def heard(self) -> Samples:
        return self.media.heard()

    def close(self) -> None:
        self._do(self._registration.stopregister)
        self._do(self._global["_sip_tm"].shutdown)
        self._do(self._loop.breakLoop)
        self._thread.join(10)
        self.media.close()
