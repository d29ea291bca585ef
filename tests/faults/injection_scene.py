"""Runs in a network namespace of its own: an echo server, a phone behind a NAT, and somebody who sprays RTP.

Server 10.9.0.1, the phone's NAT 10.9.0.2 (its SDP says 192.168.7.7), the stranger 10.9.0.66. Prints what each of them
received as JSON. `python -m tests.faults.injection_scene {before|during|rebind}`: when the stranger begins to spray; or
the phone's NAT gives it another port in the call, and the phone says so in a re-INVITE.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SERVER, NAT, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.0.66"
LOW, HIGH = 20000, 20019
PACKETS = 100
SPRAY_PER_SECOND = 1000
PHONE_SSRC, STRANGER_SSRC = 0x11111111, 0x66666666

APP = f"""
import voipat
app = voipat.App(listen="udp://{SERVER}:5060", media="{SERVER}:{LOW}-{HIGH}")
@app.on_call("sip:echo@*", public=True)
async def echo(call):
    await call.answer()
    await call.echo()
print("up", flush=True)
app.run()
"""
SDP = (
    "v=0\r\no=- 1 {version} IN IP4 192.168.7.7\r\ns=-\r\nc=IN IP4 192.168.7.7\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)


def rtp(number: int, ssrc: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, ssrc) + struct.pack("!II", ssrc, number) * 20


def udp(host: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, port))
    made.settimeout(5)
    return made


class Dialog:
    """The phone's signalling: INVITE and re-INVITE, each acknowledged, and BYE."""

    def __init__(self) -> None:
        self._socket = udp(NAT, 5060)
        self._cseq, self._to = 0, ""

    def _send(self, method: str, cseq: int, body: str = "") -> None:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        message = (
            f"{method} sip:echo@{SERVER} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.168.7.7:5060;rport;branch=z9hG4bK{method}{cseq}\r\n"
            f"From: <sip:phone@{NAT}>;tag=1\r\nTo: <sip:echo@{SERVER}>{self._to}\r\nCall-ID: scene@phone\r\n"
            f"CSeq: {cseq} {method}\r\nContact: <sip:phone@{NAT}:5060>\r\nMax-Forwards: 70\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._socket.sendto(message.encode(), (SERVER, 5060))

    def invite(self, port: int) -> int:
        """The server's media port."""
        self._cseq += 1
        self._send("INVITE", self._cseq, SDP.format(port=port, version=self._cseq))
        while not (answer := self._socket.recv(65536).decode()).startswith("SIP/2.0 200"):
            assert answer.startswith("SIP/2.0 1"), answer
        tag = re.search(r"^To:.*(;tag=[^\s;]+)", answer, re.M)
        media = re.search(r"m=audio (\d+)", answer)
        assert tag is not None and media is not None, answer
        self._to = tag[1]
        self._send("ACK", self._cseq)
        return int(media[1])

    def bye(self) -> None:
        self._send("BYE", self._cseq + 1)


class Listener:
    """Counts what a socket gets: the numbers of whose packets."""

    def __init__(self, heard: socket.socket) -> None:
        self.phone: list[int] = []
        self.foreign = 0
        self._socket = heard
        heard.settimeout(0.1)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                data = self._socket.recv(2048)
            except TimeoutError:
                continue
            if len(data) < 20 or not 0 <= data[1] & 0x7F < 64:
                continue  # RTCP
            ssrc, number = struct.unpack_from("!II", data, 12)
            if ssrc == PHONE_SSRC:
                self.phone.append(number)
            else:
                self.foreign += 1


@contextmanager
def spraying(sprayed: list[int]) -> Iterator[Listener]:
    """Consistent RTP to every port of the range in turn."""
    source, stop = udp(STRANGER), threading.Event()
    listener = Listener(source)

    def spray() -> None:
        begun, sent, ports = time.monotonic(), 0, HIGH - LOW + 1
        while not stop.is_set():
            while sent < (time.monotonic() - begun) * SPRAY_PER_SECOND:
                source.sendto(rtp(sent // ports, STRANGER_SSRC), (SERVER, LOW + sent % ports))
                sent += 1
            time.sleep(0.002)
        sprayed.append(sent)

    thread = threading.Thread(target=spray)
    thread.start()
    try:
        yield listener
    finally:
        stop.set()
        thread.join()
        time.sleep(0.2)


def talk(phone: socket.socket, port: int, first: int) -> None:
    begun = time.monotonic()
    for index in range(PACKETS):
        time.sleep(max(0.0, begun + index * 0.02 - time.monotonic()))
        phone.sendto(rtp(first + index, PHONE_SSRC), (SERVER, port))
    time.sleep(0.3)


def scene(name: str) -> dict[str, object]:
    for host in (SERVER, NAT, STRANGER):
        subprocess.run(["ip", "address", "add", f"{host}/24", "dev", "lo"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sprayed: list[int] = []
    with subprocess.Popen([sys.executable, "-c", APP], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == "up\n"
            while not _listens():
                time.sleep(0.05)
            dialog, phone = Dialog(), udp(NAT)
            listener = Listener(phone)
            if name == "before":
                with spraying(sprayed) as stranger:
                    time.sleep(0.5)
                    port = dialog.invite(4000)
                    talk(phone, port, 0)
            else:
                port = dialog.invite(4000)
                with spraying(sprayed) as stranger:
                    talk(phone, port, 0)
                    if name == "rebind":
                        phone = udp(NAT)
                        listener = Listener(phone)
                        dialog.invite(4002)
                        talk(phone, port, PACKETS)
            dialog.bye()
        finally:
            server.terminate()
    return {
        "heard": len(set(listener.phone)),
        "first": min(listener.phone, default=-1) % PACKETS,
        "foreign": listener.foreign,
        "stranger": len(stranger.phone) + stranger.foreign,
        "sprayed": sprayed[0],
    }


def _listens() -> bool:
    with open("/proc/net/udp") as sockets:
        return "0100090A:13C4" in sockets.read()


if __name__ == "__main__":
    print(json.dumps(scene(sys.argv[1])))
