"""rtpengine as a userspace relay (no kernel module), its sessions opened over its ng protocol."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from bench.peers.base import MediaContender, library_path, peer_program
from bench.rig import usage
from bench.rig.processes import Process, free_port, wait_until

LOW, HIGH = 20000, 25999
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)

# What the two calls of a chain are asked for. Mono, as voipat's: two channels would be twice the work.
OPUS = "opus/48000/1/24000"
CHAINS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "srtp": (
        {"transport_protocol": "RTP/SAVP", "DTLS": "off", "SDES": ["only-AES_CM_128_HMAC_SHA1_80"]},
        {"transport_protocol": "RTP/AVP", "DTLS": "off"},
    ),
    "opus": (
        {"transport_protocol": "RTP/AVP", "codec": {"mask": ["PCMU"], "transcode": [OPUS]}},
        {"transport_protocol": "RTP/AVP", "codec": {"mask": ["opus"], "transcode": ["PCMU"]}},
    ),
}


def encode(value: Any) -> bytes:
    """Bencoding."""
    if isinstance(value, str):
        data = value.encode()
        return b"%d:%s" % (len(data), data)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def text_of(reply: bytes, key: str) -> str | None:
    """A string out of a bencoded dictionary: all that is needed of it."""
    found = re.search(rb"%d:%s(\d+):" % (len(key), key.encode()), reply)
    return None if found is None else reply[found.end() : found.end() + int(found[1])].decode()


def media_port_of(sdp: str) -> int:
    found = re.search(r"m=audio (\d+)", sdp)
    assert found is not None, sdp
    return int(found[1])


class Control:
    """The ng protocol over UDP."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5)
        self._socket.connect(("127.0.0.1", port))
        self._cookie = 0

    def ask(self, command: str, **fields: Any) -> bytes:
        self._cookie += 1
        message = {"command": command, **{key.replace("_", "-"): value for key, value in fields.items()}}
        self._socket.send(b"%d_%d " % (os.getpid(), self._cookie) + encode(message))
        reply = self._socket.recv(65536)
        assert text_of(reply, "result") in ("ok", "pong"), reply
        return reply

    def sdp(self, command: str, **fields: Any) -> str:
        return text_of(self.ask(command, ICE="remove", flags=["trust-address"], **fields), "sdp") or ""

    def media_port(self, command: str, **fields: Any) -> int:
        return media_port_of(self.sdp(command, **fields))

    def close(self) -> None:
        self._socket.close()


class Rtpengine(MediaContender):
    """From the distribution's package."""

    name: ClassVar[str] = "rtpengine"
    control_port = 0

    def start(self, directory: Path) -> None:
        program = peer_program("rtpengine")
        directory.mkdir(parents=True, exist_ok=True)
        self.control_port = free_port()
        command = [program, "--foreground", "--log-stderr", "--log-level=3", "--table=-1", "--interface=127.0.0.1"]
        command += [f"--listen-ng=127.0.0.1:{self.control_port}", f"--port-min={LOW}", f"--port-max={HIGH}"]
        command += ["--num-threads=2", "--timeout=300", f"--pidfile={directory / 'rtpengine.pid'}"]
        self.process = Process(command, cwd=directory, log=directory / "rtpengine.log", LD_LIBRARY_PATH=library_path())
        wait_until(self._ready, 10, "rtpengine is ready")

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.alive(), f"rtpengine ended: {self.process.output()[-2000:]}"
        return f"0100007F:{self.control_port:04X}" in Path("/proc/net/udp").read_text()

    def open_sessions(self, count: int, phones_from: int, mode: str = "rtp") -> list[int]:
        if mode in CHAINS:
            return self._open_chains(count, phones_from, *CHAINS[mode])
        control, targets = Control(self.control_port), []
        for index in range(count):
            phone = phones_from + 2 * index
            one = {"call_id": f"bench-{index}", "from_tag": "a", "transport_protocol": "RTP/AVP"}
            towards_b = control.media_port("offer", sdp=SDP.format(port=phone), **one)
            towards_a = control.media_port("answer", sdp=SDP.format(port=phone + 1), to_tag="b", **one)
            # The SDP of the offer names where B sends to, that of the answer where A does.
            targets += [towards_a, towards_b]
        control.close()
        return targets

    def _open_chains(self, count: int, phones_from: int, out: dict[str, Any], back: dict[str, Any]) -> list[int]:
        """Two calls for each: the far side of the first is the near side of the second."""
        control, targets = Control(self.control_port), []
        for index in range(count):
            phone = phones_from + 2 * index
            near, far = ({"call_id": f"bench-{index}-{side}", "from_tag": "a"} for side in ("near", "far"))
            between = control.sdp("offer", sdp=SDP.format(port=phone), **near, **out)
            towards_b = control.sdp("offer", sdp=between, **far, **back)
            returned = control.sdp("answer", sdp=SDP.format(port=phone + 1), to_tag="b", **far)
            towards_a = control.sdp("answer", sdp=returned, to_tag="b", **near)
            targets += [media_port_of(towards_a), media_port_of(towards_b)]
        control.close()
        return targets

    def kernel_drops(self) -> int:
        return usage.kernel_drops(LOW, HIGH)

    def version(self) -> str:
        environment = {**os.environ, "LD_LIBRARY_PATH": library_path()}
        command = [peer_program("rtpengine"), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return "rtpengine " + (done.stdout + done.stderr).splitlines()[0].rpartition(":")[2].strip()
