"""rtpengine as the far side of an encrypted leg: a plain phone behind it, SRTP between it and us."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.peers.rtpengine import SDP, Control, Rtpengine, media_port_of
from bench.rig.processes import free_port

# rtpengine is unpacked by `make bench-peers`, which `make interop` calls.
pytestmark = [pytest.mark.interop, pytest.mark.matrix]

ROOT = Path(__file__).resolve().parents[2]
PACKETS = 100
APP = """
import sys, voipat
rules = voipat.SrtpRules(voipat.SrtpPolicy.REQUIRED, sdes_over_plain=True)
app = voipat.App(listen=f"udp://127.0.0.1:{sys.argv[1]}", media="127.0.0.1:26000-26099", srtp=rules)
@app.on_call("sip:echo@*", public=True)
async def echo(call):
    await call.answer()
    await call.echo()
def told(event):
    if isinstance(event, voipat.events.CallEnded):
        print(event.media.crypto, event.media.packets_received, flush=True)
app.subscribe(told)
print("up", flush=True)
app.run()
"""
WAYS = {
    "SDES": {"transport_protocol": "RTP/SAVP", "DTLS": "off", "SDES": ["only-AES_CM_128_HMAC_SHA1_80"]},
    "DTLS": {"transport_protocol": "UDP/TLS/RTP/SAVPF", "SDES": ["off"]},
}


class Caller:
    """INVITE with a description, and BYE."""

    def __init__(self, server: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(10)
        self._socket.connect(("127.0.0.1", server))
        self._to = ""

    def _send(self, method: str, cseq: int, body: str = "") -> None:
        port = self._socket.getsockname()[1]
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self._socket.send(
            f"{method} sip:echo@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{method}{port}\r\n"
            f"From: <sip:phone@127.0.0.1>;tag=1\r\nTo: <sip:echo@127.0.0.1>{self._to}\r\nCall-ID: {port}@phone\r\n"
            f"CSeq: {cseq} {method}\r\nContact: <sip:phone@127.0.0.1:{port}>\r\nMax-Forwards: 70\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def invite(self, offer: str) -> str:
        """The answer."""
        self._send("INVITE", 1, offer)
        while not (answer := self._socket.recv(65536).decode()).startswith("SIP/2.0 200"):
            assert answer.startswith("SIP/2.0 1"), answer
        tag = re.search(r"^To:.*(;tag=[^\s;]+)", answer, re.M)
        assert tag is not None
        self._to = tag[1]
        self._send("ACK", 1)
        return answer.partition("\r\n\r\n")[2]

    def close(self) -> None:
        self._send("BYE", 2)
        self._socket.close()


@pytest.fixture
def rtpengine(tmp_path: Path) -> Iterator[Rtpengine]:
    peer = Rtpengine()
    peer.start(tmp_path / "rtpengine")
    yield peer
    peer.stop()


def talk(phone: socket.socket, port: int) -> set[int]:
    """The numbers of our packets that came back."""
    heard: set[int] = set()
    phone.setblocking(False)
    begun = time.monotonic()
    for number in range(PACKETS + 15):
        time.sleep(max(0.0, begun + number * 0.02 - time.monotonic()))
        if number < PACKETS:
            header = struct.pack("!BBHII", 0x80, 0, number, number * 160, 7)
            phone.sendto(header + struct.pack("!I", number) * 40, ("127.0.0.1", port))
        while True:
            try:
                data = phone.recv(2048)
            except BlockingIOError:
                break
            if len(data) == 172:
                heard.add(struct.unpack_from("!I", data, 12)[0])
    return heard


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_phone_behind_rtpengine_hears_itself_over_srtp(rtpengine: Rtpengine, way: str) -> None:
    port = free_port()
    command = [sys.executable, "-c", APP, str(port)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server,
        closing(Control(rtpengine.control_port)) as control,
    ):
        try:
            assert server.stdout is not None and server.stdout.readline() == "up\n"
            _until_bound(port)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 0))
                one = {"call_id": way, "from_tag": "a"}
                offer = control.sdp("offer", sdp=SDP.format(port=phone.getsockname()[1]), **one, **WAYS[way])
                with closing(Caller(port)) as caller:
                    answer = caller.invite(offer)
                    towards_phone = control.sdp("answer", sdp=answer, to_tag="b", **one)
                    time.sleep(1.0)  # a handshake
                    heard = talk(phone, media_port_of(towards_phone))
            assert len(heard) >= 0.95 * PACKETS, f"{len(heard)} of {PACKETS}: {offer}\n{answer}"
            crypto, exchange, packets = server.stdout.readline().split()
            assert exchange == way and int(packets) >= len(heard), crypto
        finally:
            server.terminate()


def _until_bound(port: int) -> None:
    for _ in range(500):
        if f"0100007F:{port:04X}" in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.02)
    raise AssertionError("the App does not listen")
