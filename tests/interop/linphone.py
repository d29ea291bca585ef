"""linphone as a phone without a sound card: a WAV tone is its microphone, a WAV file what it heard.

`linphonec` is driven by its command line through a pipe and asked for the state of its calls. All its calls are
recorded one after the other into one file; `heard` reads what came since `mark`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench.rig.processes import Process, program, wait_until
from tests.interop.baresip import read_wav, write_tone
from tests.interop.tones import Samples

ALL_CODECS = ("opus/48000/2", "speex/16000", "speex/8000", "PCMU/8000", "PCMA/8000", "GSM/8000", "G722/8000")

CONFIG = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
bind_address={host}
use_ipv6={ipv6}
media_encryption={encryption}
media_encryption_mandatory={mandatory}
root_ca={trusted}
verify_server_certs=1
verify_server_cn=1
guess_hostname=0
contact=sip:{user}@{host}
inc_timeout=60
default_proxy=0
session_expires_enabled={refreshing}
session_expires_value={session_s}
session_expires_min_value={session_s}
session_expires_refresher_value=uac
incoming_calls_early_media={early}
100rel_support_level={reliable}
[rtp]
audio_rtp_port={rtp}-{rtp_high}
audio_adaptive_jitt_comp_enabled=0
nortp_timeout=120
[net]
firewall_policy=0
[sound]
echocancellation=0
remote_ring={ringing}
[video]
display=0
capture=0
[auth_info_0]
username={user}
userid={user}
passwd={password}
domain={domain}
[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires=120
reg_sendregister=1
publish=0
dial_escape_plus=0
"""


class Linphone:
    """One phone. It listens for SIP on `port` and takes RTP ports of its own.

    `transport` is udp, tcp or tls (then `trusted` is the file of authorities that sign `server`); `encryption` none,
    srtp, dtls or zrtp; `codecs` such as "PCMU/8000" in order of preference; `session_s` turns session timers on,
    `reliable` requires 100rel; with `early` it answers 183 and plays its tone while it rings.
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
        transport: str = "udp",
        trusted: Path | None = None,
        host: str = "127.0.0.1",
        domain: str = "office.test",
        encryption: str = "none",
        mandatory: bool = False,
        codecs: Sequence[str] = ("PCMU/8000", "PCMA/8000"),
        session_s: int = 0,
        early: bool = False,
        reliable: bool = False,
    ) -> None:
        self.directory, self.user, self.domain = directory, user, domain
        directory.mkdir(parents=True, exist_ok=True)
        self._recording = directory / "heard.wav"
        self._marked = 0
        write_tone(directory / "tone.wav", frequency)
        ports = {name: port if name == transport else 0 for name in ("udp", "tcp", "tls")}
        rtp = 30000 + (port % 1000) * 10
        settings = CONFIG.format(
            **ports,
            host=host,
            ipv6=int(":" in host),
            encryption=encryption,
            mandatory=int(mandatory),
            trusted=trusted or "",
            user=user,
            password=password,
            domain=domain,
            server=server,
            transport=transport,
            rtp=rtp,
            rtp_high=rtp + 9,
            refreshing=int(session_s > 0),
            session_s=session_s or 1800,
            early=int(early),
            ringing=directory / "tone.wav" if early else "",
            reliable=2 if reliable else 0,
        )
        (directory / "linphonerc").write_text(settings + _codec_sections(codecs))
        for folder in (".local/share/linphone", ".config"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        reading, self._keys = os.pipe()
        self.process = Process(
            [program("linphonec"), "-c", str(directory / "linphonerc"), "-d", "5", "-l", str(directory / "sip.log")],
            cwd=directory,
            log=directory / "linphone.log",
            stdin=reading,
            HOME=str(directory),
            XDG_DATA_HOME="",
            XDG_CONFIG_HOME="",
        )
        os.close(reading)
        self.command("soundcard use files")
        self.command(f"play {directory / 'tone.wav'}")
        self.command(f"record {self._recording}")

    def command(self, line: str) -> None:
        assert self.process.alive(), f"linphone of {self.user} ended: {self.process.output()[-2000:]}"
        os.write(self._keys, line.encode() + b"\n")

    def log(self) -> str:
        """Its own trace: every SIP message in and out."""
        path = self.directory / "sip.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_registered(self, timeout: float = 20.0) -> None:
        wait_until(
            lambda: "to [LinphoneRegistrationOk]" in self.log(), timeout, f"linphone of {self.user} is registered"
        )

    def dial(self, target: str) -> None:
        self.command(f"call {self._uri(target)}")

    def answer(self, timeout: float = 20.0) -> None:
        """Takes the call that rings."""
        self.wait_for(("IncomingReceived", "IncomingEarlyMedia"), timeout)
        self.command("answer")

    def wait_talking(self, timeout: float = 20.0) -> None:
        self.wait_for("StreamsRunning", timeout)

    def hang_up(self) -> None:
        self.command("terminate all")

    def hold(self) -> None:
        self.command("pause")

    def resume(self, call: int | None = None) -> None:
        self.command("resume" if call is None else f"resume {call}")

    def transfer(self, target: str) -> None:
        """Blind: the call that is going on to an extension."""
        self.command(f"transfer {self._uri(target)}")

    def transfer_to_call(self, first: int, second: int) -> None:
        """Attended: who is in call `first` is given who is in call `second`; ids as in `calls`."""
        self.command(f"transfer {first} --to-call {second}")

    def calls(self) -> dict[int, str]:
        """Id and state of the calls now, such as StreamsRunning, Paused, PausedByRemote, IncomingReceived."""
        before = len(self.process.output())
        self.command("calls")
        asked = wait_until(
            lambda: text if (text := self.process.output()[before:]).count("linphonec> ") else None,
            15,
            f"linphone of {self.user} tells its calls",
        )
        return {int(number): state for number, state in re.findall(r"^(\d+)\s*\|[^|]*\|\s*(\w+)", asked, re.M)}

    def wait_for(self, state: str | tuple[str, ...], timeout: float = 20.0) -> int:
        """The id of the first call that is in `state`, or in one of them."""
        wanted = (state,) if isinstance(state, str) else state
        seen: dict[int, str] = {}

        def found() -> int | None:
            nonlocal seen
            seen = self.calls()
            return next((number for number, each in seen.items() if each in wanted), None)

        try:
            number = wait_until(found, timeout, f"linphone of {self.user} has a call in {' or '.join(wanted)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it has {seen}") from None
        assert number is not None
        return number

    def wait_no_call(self, timeout: float = 20.0) -> None:
        wait_until(lambda: not self.calls(), timeout, f"linphone of {self.user} has no call")

    def mark(self) -> None:
        """`heard` begins here."""
        self._marked = len(read_wav(self._recording)) if self._recording.exists() else 0

    def heard(self) -> Samples:
        assert self._recording.exists(), f"{self.user} recorded nothing: {self.process.output()[-2000:]}"
        return read_wav(self._recording)[self._marked :]

    def _uri(self, target: str) -> str:
        return target if target.startswith("sip") else f"sip:{target}@{self.domain}"

    def close(self) -> None:
        os.close(self._keys)
        self.process.close()


def _codec_sections(codecs: Sequence[str]) -> str:
    """Every codec it has, those of `codecs` first and enabled."""
    sections = []
    for index, codec in enumerate([*codecs, *(each for each in ALL_CODECS if each not in codecs)]):
        mime, rate, channels = [*codec.split("/"), "1"][:3]
        enabled = int(codec in codecs)
        sections.append(f"[audio_codec_{index}]\nmime={mime}\nrate={rate}\nchannels={channels}\nenabled={enabled}\n")
    return "".join(sections)
