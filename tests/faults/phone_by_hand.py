"""A phone of blocking sockets: registers and calls, and says what went wrong. For tests where time is real."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Sequence

from sipcore.auth import answer_challenge
from sipcore.message import Request, Response, response_to
from sipcore.parser import parse_message

_serial = itertools.count(1)


class PhoneByHand:
    """One extension at one loopback address. Requests are repeated as RFC 3261 §17.1 says; what fails is a text."""

    def __init__(self, host: str, server: tuple[str, int], user: str = "", password: str = "", *, tcp: bool = False):
        self.user, self.password, self.server, self.tcp = user, password, server, tcp
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        if tcp:
            self._socket.settimeout(5)
            self._socket.connect(server)
        self.address = self._socket.getsockname()
        self.call_id = f"{next(_serial)}@{host}"
        self.cseq = 0
        # The Call-ID of its last subscription.
        self.watching = ""
        self._up: tuple[Request, Response] | None = None
        self._stream = b""

    def __enter__(self) -> PhoneByHand:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(
        self, method: str, target: str, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", call_id: str = ""
    ) -> Request:
        """An out-of-dialog request from this phone."""
        self.cseq += 1
        host, port = self.address
        via = f"SIP/2.0/{'TCP' if self.tcp else 'UDP'} {host}:{port};branch=z9hG4bK{next(_serial)};rport"
        to = f"<sip:{self.user}@office.test>" if method == "REGISTER" else f"<{target}>"
        lines = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.user}@office.test>;tag=t{self.cseq}"),
            ("To", to),
            ("Call-ID", call_id or self.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            ("Contact", f"<sip:{self.user}@{host}:{port}{';transport=tcp' if self.tcp else ''}>"),
        ]
        return Request(method, target, [*lines, *headers], body)

    def send(self, request: Request) -> None:
        self._socket.sendall(request.to_bytes()) if self.tcp else self._socket.sendto(request.to_bytes(), self.server)

    def ask(self, request: Request, limit: float = 32.0) -> Response | None:
        """The final response, None when there was none in time (64*T1: a phone gives up then)."""
        begin, interval = time.monotonic(), 0.5
        data, repeat = request.to_bytes(), time.monotonic() + 0.5
        self.send(request)
        while (now := time.monotonic()) < begin + limit:
            response = self._receive(min(repeat, begin + limit) - now)
            if response is None:
                if time.monotonic() >= repeat and not self.tcp:
                    self._socket.sendto(data, self.server)
                    interval = min(interval * 2, 4.0)
                    repeat = time.monotonic() + interval
                continue
            if response.cseq != request.cseq or response.call_id != request.call_id:
                continue
            if response.status >= 200:
                return response
            repeat = begin + limit
        return None

    def authenticated(self, make: Request, response: Response) -> Request:
        """The same request again, with credentials for the challenge."""
        answer = answer_challenge(
            [(name, value) for name, value in response.headers.items() if name == "WWW-Authenticate"],
            method=make.method,
            uri=make.uri_text,
            username=self.user,
            password=self.password,
            cnonce="c0ffee",
            nc=1,
        )
        again = self.request(make.method, make.uri_text, headers=(answer,), body=make.body, call_id=make.call_id)
        if "Expires" in make.headers:
            again.headers.set("Expires", make.headers.get("Expires") or "")
        if make.body:
            again.headers.set("Content-Type", "application/sdp")
        return again

    def register(self, expires: int = 300) -> str:
        """Empty when it went well."""
        first = self.request("REGISTER", "sip:office.test", headers=[("Expires", str(expires))])
        response = self.ask(first)
        if response is not None and response.status == 401:
            response = self.ask(self.authenticated(first, response))
        return "" if response is not None and response.status == 200 else f"REGISTER: {_said(response)}"

    def told(self, header: str, limit: float = 5.0) -> str:
        """What stands behind `header` in the next message that has it in its text."""
        deadline = time.monotonic() + limit
        self._socket.settimeout(limit)
        while time.monotonic() < deadline:
            data = self._read_message() if self.tcp else self._socket.recv(65535)
            text = data.decode("utf-8", "replace")
            for line in text.splitlines():
                if line.startswith(header):
                    return line.removeprefix(header).strip()
        raise AssertionError(f"nothing says {header} within {limit} s")

    def watch(self, number: str) -> str:
        """Subscribe anew to the calls of an extension: the dialog-info of the first NOTIFY."""
        self.watching = call_id = f"{next(_serial)}@{self.address[0]}"
        headers = [("Event", "dialog"), ("Accept", "application/dialog-info+xml"), ("Expires", "120")]
        first = self.request("SUBSCRIBE", f"sip:{number}@office.test", headers=headers, call_id=call_id)
        response = self.ask(first)
        if response is not None and response.status == 401:
            again = self.authenticated(first, response)
            for name, value in headers:
                again.headers.set(name, value)
            response = self.ask(again)
        assert response is not None and response.status == 200, f"SUBSCRIBE: {_said(response)}"
        return self.notified(call_id)

    def notified(self, call_id: str, limit: float = 20.0) -> str:
        """What the next NOTIFY of this subscription says; it is answered."""
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            message = parse_message(self._read_message() if self.tcp else self._socket.recv(65535))
            if isinstance(message, Request) and message.method == "NOTIFY":
                self._answer(message)
                if message.call_id == call_id:
                    return message.body.decode()
        raise AssertionError(f"no NOTIFY within {limit} s")

    def _answer(self, request: Request) -> None:
        data = response_to(request, 200).to_bytes()
        self._socket.sendall(data) if self.tcp else self._socket.sendto(data, self.server)

    def call(self, number: str) -> str:
        """INVITE with credentials, ACK, BYE. Empty when it went well."""
        invite, response = self._invite(number, self.address[0], 40000)
        if response is None or response.status != 200:
            return f"INVITE: {_said(response)}"
        return self._bye(invite, response)

    def dial(self, number: str, media_port: int) -> Response:
        """A call that is up until `hang_up`, with its RTP at 127.0.0.1; its answer."""
        invite, response = self._invite(number, "127.0.0.1", media_port)
        assert response is not None and response.status == 200, f"INVITE: {_said(response)}"
        self._up = (invite, response)
        return response

    def hang_up(self) -> str:
        """Empty when it went well."""
        assert self._up is not None, "no call is up"
        invite, response = self._up
        self._up = None
        return self._bye(invite, response)

    def ask_within(self, method: str, content_type: str, body: bytes) -> Response | None:
        """The final response to a request in the call that is up."""
        assert self._up is not None, "no call is up"
        request = self._within(*self._up, method)
        request.headers.set("Content-Type", content_type)
        request.body = body
        return self.ask(request)

    def _invite(self, number: str, media_host: str, media_port: int) -> tuple[Request, Response | None]:
        """The last INVITE, its final response acknowledged."""
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {media_host}\r\ns=-\r\nc=IN IP4 {media_host}\r\nt=0 0\r\n"
            f"m=audio {media_port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        ).encode()
        target = f"sip:{number}@office.test"
        kind = [("Content-Type", "application/sdp")]
        first = self.request("INVITE", target, headers=kind, body=body, call_id=f"{next(_serial)}@{self.address[0]}")
        response = self.ask(first)
        invite = first
        if response is not None and response.status == 401:
            self._acknowledge(first, response)
            invite = self.authenticated(first, response)
            response = self.ask(invite)
        if response is not None:
            self._acknowledge(invite, response)
        return invite, response

    def _bye(self, invite: Request, answer: Response) -> str:
        response = self.ask(self._within(invite, answer, "BYE"))
        return "" if response is not None and response.status == 200 else f"BYE: {_said(response)}"

    def _acknowledge(self, invite: Request, response: Response) -> None:
        self.send(self._within(invite, response, "ACK"))

    def _within(self, invite: Request, response: Response, method: str) -> Request:
        """ACK or BYE of the call that the response made, or the ACK to a refusal, on the branch of its INVITE."""
        is_new = method != "ACK" or response.status < 300
        target = invite.uri_text
        if response.status < 300:
            assert response.contact is not None
            target = str(response.contact.uri)
        made = self.request(method, target, call_id=invite.call_id)
        made.headers.set("From", invite.headers.get("From") or "")
        made.headers.set("To", response.headers.get("To") or "")
        if method == "ACK":
            made.headers.set("CSeq", f"{invite.cseq.number} ACK")
        if not is_new:
            made.headers.set("Via", invite.headers.get("Via") or "")
        return made

    def _receive(self, limit: float) -> Response | None:
        self._socket.settimeout(max(limit, 0.001))
        try:
            data = self._read_message() if self.tcp else self._socket.recv(65535)
        except TimeoutError:
            return None
        message = parse_message(data)
        return message if isinstance(message, Response) else None

    def _read_message(self) -> bytes:
        while True:
            head, found, rest = self._stream.partition(b"\r\n\r\n")
            if found:
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(rest) >= length:
                    self._stream = rest[length:]
                    return head + found + rest[:length]
            data = self._socket.recv(65535)
            if not data:
                raise ConnectionError("closed")
            self._stream += data


def _said(response: Response | None) -> str:
    return "no answer" if response is None else f"{response.status} {response.headers.get('Warning')}"
