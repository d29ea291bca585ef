"""baresip as a phone without a sound card: a WAV tone is its microphone, a WAV file what it heard.

Driven by its ctrl_tcp module (JSON in netstrings). Debian's baresip 1.0.0 has no file player, so the bridge
device pulls the audio and the sndfile filter writes both directions.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.rig.processes import Process, program, wait_until
from tests.interop.tones import dominant_frequency, toned_seconds

MODULES = "/usr/lib/baresip/modules"
RATE = 8000
# From one key to the next.
KEY_S = 0.25

CONFIG = """\
poll_method epoll
sip_listen {host}:{sip_port}
audio_player aubridge,heard
audio_source aufile,{tone}
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
jitter_buffer_delay 2-6
rtp_ports {rtp_low}-{rtp_high}
snd_path {directory}
module_path {modules}
module g711.so
module g722.so
module opus.so
module srtp.so
module dtls_srtp.so
module aubridge.so
module aufile.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
"""


# A camera and a screen that are none.
VIDEO = """\
module fakevideo.so
module vp8.so
video_source fakevideo,nil
video_display fakevideo,nil
video_size 176x144
video_bitrate 200000
video_fps 10
"""


def write_tone(path: Path, frequency: float, seconds: float = 60.0) -> None:
    """A 16-bit mono sine at -12 dBFS."""
    time = np.arange(int(seconds * RATE)) / RATE
    samples = (8192 * np.sin(2 * np.pi * frequency * time)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def read_wav(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The samples, of the first channel; the header of a file whose writer was killed may claim zero, so sizes are not
    trusted."""
    data = path.read_bytes()
    if len(data) < 44:
        return np.zeros(0, "<i2")
    (channels,) = struct.unpack_from("<H", data, 22)
    samples = np.frombuffer(data[44 : len(data) - len(data) % 2], dtype="<i2")
    return samples[:: channels or 1]


def rate_of(path: Path) -> int:
    """Samples a second, that of the codec."""
    (rate,) = struct.unpack_from("<I", path.read_bytes(), 24)
    return int(rate)


class Baresip:
    """One phone. `port` and the four after it are its SIP (TLS takes the next) and control ports.

    With `trusted`, a file of authorities, it registers over TLS and checks who answers. `encryption` is one of srtp,
    srtp-mand, srtp-mandf and dtls_srtp. `accounts` are the lines of its file where it is more than one user. This
    version records what it hears only up to the first re-INVITE of a call (its bridge device stops there);
    `receiving` tells more.
    """

    def __init__(
        self,
        directory: Path,
        *,
        user: str,
        password: str,
        server: str,
        port: int,
        frequency: float,
        trusted: Path | None = None,
        accounts: str | None = None,
        encryption: str = "",
        codecs: Sequence[str] = ("PCMU/8000/1", "PCMA/8000/1"),
        transport: str | None = None,
        host: str = "127.0.0.1",
        video: bool = False,
    ) -> None:
        self.directory = directory
        self._marked = self._answered = 0
        self.user, self.server, self.port = user, server, port
        directory.mkdir(parents=True, exist_ok=True)
        tone = directory / "tone.wav"
        write_tone(tone, frequency)
        rtp_low = 40000 + (port % 1000) * 20
        (directory / "config").write_text(
            CONFIG.format(
                host=f"[{host}]" if ":" in host else host,
                sip_port=port,
                tone=tone,
                rtp_low=rtp_low,
                rtp_high=rtp_low + 19,
                directory=directory,
                modules=MODULES,
                control_port=port + 4,
            )
            + (VIDEO if video else "")
            + ("prefer_ipv6 yes\n" if ":" in host else "")
            + (f"sip_cafile {trusted}\nsip_verify_server yes\n" if trusted is not None else "")
        )
        transport = transport or ("udp" if trusted is None else "tls")
        (directory / "accounts").write_text(
            accounts
            or f"<sip:{user}@office.test>;auth_user={user};auth_pass={password};"
            f'outbound="sip:{server};transport={transport}";regint=120;answermode=manual;'
            f"audio_codecs={','.join(codecs)}{f';mediaenc={encryption}' if encryption else ''}\n"
        )
        (directory / "contacts").write_text("")
        self.process = Process(
            [program("baresip"), "-f", str(directory)],
            cwd=directory,
            log=directory / "baresip.log",
            stdin=subprocess.DEVNULL,
        )
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        self._control = self._connect(port + 4)

    def _connect(self, port: int) -> socket.socket:
        def attempt() -> socket.socket | None:
            assert self.process.alive(), f"baresip ended: {self.process.output()}"
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                return None

        control = self.process.ready(attempt, 10, f"baresip of {self.user} listens")
        assert control is not None
        control.setblocking(False)
        return control

    def command(self, name: str, params: str = "") -> None:
        text = json.dumps({"command": name, "params": params}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))

    def _poll(self) -> None:
        try:
            while chunk := self._control.recv(65536):
                self._buffer += chunk
        except BlockingIOError:
            pass
        while b":" in self._buffer:
            size, _, rest = self._buffer.partition(b":")
            if len(rest) <= int(size):
                break
            self.events.append(json.loads(rest[: int(size)]))
            self._buffer = rest[int(size) + 1 :]

    def seen(self, kind: str) -> list[dict[str, Any]]:
        self._poll()
        return [event for event in self.events if event.get("type") == kind]

    def wait_for(self, kind: str, timeout: float = 20.0, count: int = 1) -> dict[str, Any]:
        found = wait_until(
            lambda: matches if len(matches := self.seen(kind)) >= count else None,
            timeout,
            f"{self.user} sees {kind}; has {[event.get('type') for event in self.events]}",
        )
        return found[-1]

    def digits(self) -> str:
        """Every digit that was pressed at the other side, of all calls."""
        return "".join(re.findall(r"received event: '(.)' \(end=0\)", self.process.output()))

    def wait_registered(self, timeout: float = 20.0) -> None:
        # Its log and not an event: the phone may be registered before the control connection is up.
        wait_until(lambda: "200 OK" in self.process.output(), timeout, f"{self.user} is registered")

    def dial(self, target: str) -> None:
        self._marked = 0
        self.command("dial", target if target.startswith("sip") else f"sip:{target}@office.test")

    def reach(self, target: str, is_there: Callable[[], bool]) -> None:
        """Dials until it is so: again as long as the daemon refuses calls because this machine has too much to do."""
        refused = len(self.seen("CALL_CLOSED"))
        self.dial(target)

        def is_reached() -> bool:
            nonlocal refused
            closed = self.seen("CALL_CLOSED")
            if len(closed) > refused and str(closed[-1].get("param")).startswith("503"):
                refused = len(closed)
                time.sleep(1.0)
                self.dial(target)
            return is_there()

        wait_until(is_reached, 20, f"{self.user} reaches {target}; has {self.events}")

    def answer(self, timeout: float = 20.0) -> None:
        """Takes the call that rings."""
        self._marked = 0
        self.wait_for("CALL_INCOMING", timeout, self._answered + 1)
        self._answered += 1
        self.command("accept")

    def wait_talking(self, timeout: float = 20.0) -> None:
        self.wait_for("CALL_ESTABLISHED", timeout, len(self.seen("CALL_CLOSED")) + 1)

    def hold(self) -> None:
        self.command("hold")

    def resume(self) -> None:
        self.command("resume")

    def transfer(self, target: str) -> None:
        """Blind: who is at the other end, to an extension."""
        self.command("transfer", f"sip:{target}@office.test")

    def hang_up(self) -> None:
        self.command("hangup")

    def wait_no_call(self, timeout: float = 20.0) -> None:
        begun = max(len(self.seen("CALL_ESTABLISHED")), self._answered)
        self.wait_for("CALL_CLOSED", timeout, begun)

    def receiving(self) -> int:
        """Bits of RTP a second that come in, as its status line says: counted anew every few seconds."""
        rates = re.findall(r"audio=\d+/(\d+) \(bit/s\)", self.process.output())
        return int(rates[-1]) if rates else 0

    def mark(self) -> None:
        """`heard` begins here."""
        self._marked = 0
        self._marked = len(self.heard())

    def unmark(self) -> None:
        """`heard` begins where the call does."""
        self._marked = 0

    def heard(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        """What came from the network, decoded, of the last call."""
        files = sorted(self.directory.glob("dump-*-dec.wav"))
        assert files, f"{self.user} recorded nothing: {self.process.output()}"
        return read_wav(files[-1])[self._marked :]

    def press(self, digits: str) -> None:
        """As fast as a finger does."""
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(KEY_S)

    def hears(self, hertz: float) -> bool:
        """Whether the last half second that it heard was that tone."""
        if not list(self.directory.glob("dump-*-dec.wav")):
            return False
        last = self.heard()[-RATE // 2 :]
        return len(last) == RATE // 2 and abs(dominant_frequency(last) - hertz) < 10

    def forget(self) -> None:
        """What it heard before: recordings are named by the second, and a next one within it would have that name."""
        for dump in self.directory.glob("dump-*.wav"):
            dump.unlink()

    def wait_heard(self, seconds: float) -> None:
        """Until so much of a tone was heard in this call: a slow machine takes longer for it."""

        def has() -> bool:
            recorded = list(self.directory.glob("dump-*-dec.wav"))
            return bool(recorded) and toned_seconds(self.heard(), rate=self.heard_rate()) >= seconds

        wait_until(has, 10 * seconds + 30, f"{self.user} hears {seconds} s")

    def log_of_last_call(self) -> str:
        """What it wrote since it dialled last."""
        return self.process.output().rpartition("call: connecting to ")[2]

    def heard_rate(self) -> int:
        """Samples a second of `heard`."""
        return rate_of(sorted(self.directory.glob("dump-*-dec.wav"))[-1])

    def close(self) -> None:
        self._control.close()
        self.process.close()
