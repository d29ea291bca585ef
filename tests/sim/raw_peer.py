"""A peer that a test plays message by message: it answers as it is told, whatever SIP says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sipcore.flow import Address
from sipcore.message import Request, Response, response_to
from sipcore.parser import parse_message
from voipat.testing import SimWorld

SDP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
Headers = Sequence[tuple[str, str]]


class RawPeer:
    """Answers each request by `answer(request)` → (status, headers), or None for silence; keeps what it received."""

    def __init__(
        self,
        world: SimWorld,
        host: str,
        answer: Callable[[Request], tuple[int, Headers] | None] | None = None,
        *,
        port: int = 5060,
        name: str = "raw",
    ) -> None:
        self.address = Address(host, port)
        self.received: list[Request] = []
        self.statuses: list[int] = []
        self.responses: list[Response] = []
        self._world = world
        self.answer = answer
        world.network.name(host, name)
        world.network.bind(self.address, self._receive)

    def send(self, data: bytes, to: Address | None = None) -> None:
        """Send these bytes to the server."""
        self._world.network.send(self.address, to or self._world.server_address, data)

    def request(self, method: str, uri: str, *lines: str, number: int = 1, to_tag: str = "") -> None:
        """Send a request that has what every one needs, and these lines."""
        host = self.address.host
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{method}{number}",
            f"From: <sip:1001@office.test>;tag=x{number}",
            f"To: <{uri}>{';tag=' + to_tag if to_tag else ''}",
            f"Call-ID: {method}-{number}@{host}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            *([] if any(line.startswith("Contact") for line in lines) else [f"Contact: <sip:x@{self.address}>"]),
            *lines,
            "Content-Length: 0",
        ]
        self.send("\r\n".join(head).encode() + b"\r\n\r\n")

    def _receive(self, data: bytes, source: Address) -> None:
        if not data.strip():
            return
        message = parse_message(data)
        if not isinstance(message, Request):
            self.statuses.append(message.status)
            self.responses.append(message)
            return
        self.received.append(message)
        found = None if self.answer is None or message.method == "ACK" else self.answer(message)
        if found is None:
            return
        status, headers = found
        if message.method == "INVITE" and status == 200:
            self.accept(message, headers, source)
        else:
            self.send(response_to(message, status, to_tag="raw", headers=headers).to_bytes(), source)

    def accept(self, invite: Request, headers: Headers = (), to: Address | None = None) -> None:
        """200 with a description."""
        typed = (("Contact", f"<sip:raw@{self.address}>"), ("Content-Type", "application/sdp"))
        body = SDP.format(self.address.host).encode()
        self.send(response_to(invite, 200, to_tag="raw", headers=(*headers, *typed), body=body).to_bytes(), to)
