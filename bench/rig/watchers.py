"""Phones that watch a lamp: each subscribes once with digest and answers every NOTIFY. Their process is on its own.

    python -m bench.rig.watchers SERVER_PORT LOCAL_PORT NUMBER USER …

Prints "ready" when every user is subscribed, then for each line of input how many NOTIFYs came and its CPU, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import socket
import sys
import time
from typing import Any

DOMAIN = "office.test"
BUFFER = 4 << 20
PATIENCE_S = 60.0


def header(message: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*?)\r$", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def answer_to(challenge: str, user: str, uri: str) -> str:
    """MD5 with or without qop, to the first challenge."""
    told = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge.partition(" ")[2]))
    ha1 = hashlib.md5(f"{user}:{told['realm']}:pass-{user}".encode()).hexdigest()
    ha2 = hashlib.md5(f"SUBSCRIBE:{uri}".encode()).hexdigest()
    middle = "00000001:c:auth:" if "qop" in told else ""
    response = hashlib.md5(f"{ha1}:{told['nonce']}:{middle}{ha2}".encode()).hexdigest()
    more = ', qop=auth, nc=00000001, cnonce="c"' if middle else ""
    opaque = f', opaque="{told["opaque"]}"' if "opaque" in told else ""
    return (
        f'Digest username="{user}", realm="{told["realm"]}", nonce="{told["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm=MD5{opaque}{more}'
    )


class Watchers:
    """All on one socket: the Call-ID says who is meant."""

    def __init__(self, server: int, local: int, number: str, users: list[str]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.bind(("127.0.0.1", local))
        self.socket.connect(("127.0.0.1", server))
        self.socket.setblocking(False)
        self._local, self._number, self._users = local, number, users
        self.subscribed: set[str] = set()
        self.notified = 0
        self.refusal = ""

    def subscribe(self, user: str, cseq: int = 1, credentials: str = "") -> None:
        uri = f"sip:{self._number}@{DOMAIN}"
        self.socket.send(
            f"SUBSCRIBE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self._local};rport;branch=z9hG4bKw{user}{cseq}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=w{user}\r\nTo: <{uri}>\r\nCall-ID: {user}-watches\r\n"
            f"CSeq: {cseq} SUBSCRIBE\r\nContact: <sip:{user}@127.0.0.1:{self._local}>\r\nEvent: dialog\r\n"
            f"Accept: application/dialog-info+xml\r\nExpires: 600\r\n{credentials}Content-Length: 0\r\n\r\n".encode()
        )

    def take(self) -> None:
        """All that waits."""
        while True:
            try:
                message = self.socket.recv(65536).decode("utf-8", "replace")
            except BlockingIOError:
                return
            if message.startswith("NOTIFY"):
                self._acknowledge(message)
            elif message.startswith(("SIP/2.0 401", "SIP/2.0 407")) and header(message, "CSeq").startswith("1 "):
                self._answer(message)
            elif message.startswith(("SIP/2.0 4", "SIP/2.0 5")):
                self.refusal = message.partition("\r\n")[0]
            elif message.startswith("SIP/2.0 2"):
                self.subscribed.add(header(message, "Call-ID").partition("-")[0])

    def _answer(self, message: str) -> None:
        asked = "WWW-Authenticate" if message.startswith("SIP/2.0 401") else "Proxy-Authenticate"
        user = header(message, "Call-ID").partition("-")[0]
        name = "Authorization" if asked.startswith("WWW") else "Proxy-Authorization"
        given = answer_to(header(message, asked), user, f"sip:{self._number}@{DOMAIN}")
        self.subscribe(user, 2, f"{name}: {given}\r\n")

    def _acknowledge(self, message: str) -> None:
        self.notified += 1
        copied = "".join(f"{name}: {header(message, name)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        self.socket.send(f"SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n".encode())

    def counted(self) -> dict[str, Any]:
        return {"notified": self.notified, "cpu_s": time.process_time()}


def main() -> None:
    server, local, number, *users = sys.argv[1:]
    watchers = Watchers(int(server), int(local), number, users)
    for user in users:
        watchers.subscribe(user)
        watchers.take()
        time.sleep(0.002)
    deadline = time.monotonic() + PATIENCE_S
    while len(watchers.subscribed) < len(users):
        is_hopeless = watchers.refusal or time.monotonic() > deadline
        why = watchers.refusal or "no answer"
        assert not is_hopeless, f"{len(watchers.subscribed)} of {len(users)} subscribed; {why}"
        select.select([watchers.socket], [], [], 0.1)
        watchers.take()
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([watchers.socket, sys.stdin], [], [])
        if watchers.socket in ready:
            watchers.take()
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return
            print(json.dumps(watchers.counted()), flush=True)


if __name__ == "__main__":
    main()
