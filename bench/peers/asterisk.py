"""Asterisk 22 (PJSIP) out of the chroot that `make peer-asterisk` makes, with what the comparison needs and no more.

CDRs are written to a CSV file in batches, nothing is logged, media stays anchored. Needs root for the chroot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers import dial_plan
from bench.peers.base import SipContender
from bench.rig import sound, usage
from bench.rig.extensions import CALLEE, MANY, users
from bench.rig.processes import PeerMissing, Process, free_port, program, wait_until

CHROOT = Path(__file__).resolve().parents[2] / "build" / "peers" / "asterisk"
RTP_LOW, RTP_HIGH = 20000, 25999
CALLERS = 200  # endpoints that may call: as many as the loads use

MODULES = """
res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_statsd res_crypto res_timing_timerfd
res_pjsip res_pjsip_pubsub res_pjsip_session res_pjsip_sdp_rtp res_pjsip_registrar res_pjsip_authenticator_digest
res_pjsip_outbound_authenticator_digest res_pjsip_outbound_publish
res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_ip
res_pjsip_endpoint_identifier_anonymous res_pjsip_caller_id res_pjsip_nat res_pjsip_dtmf_info res_pjsip_exten_state
res_pjsip_dialog_info_body_generator res_pjsip_pidf_body_generator res_rtp_asterisk res_musiconhold chan_pjsip
bridge_simple bridge_native_rtp bridge_softmix bridge_holding codec_ulaw codec_alaw codec_resample format_pcm
format_wav app_dial app_playback app_read app_confbridge app_echo app_cdr cdr_csv pbx_config func_channel
func_callerid func_devstate
"""

# Everything of a run is in `home`; modules and sounds are those of the package.
DIRECTORIES = """\
[directories]
astetcdir => {home}
astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules
astvarlibdir => /var/lib/asterisk
astdbdir => {home}
astkeydir => {home}
astdatadir => /usr/share/asterisk
astspooldir => {home}
astrundir => {home}
astlogdir => {home}
"""

FILES = {
    "asterisk.conf": f"{DIRECTORIES}[options]\nverbose = 0\ndebug = 0\n",
    "logger.conf": "[general]\n[logfiles]\nconsole => error\n",
    "rtp.conf": "[general]\nrtpstart={rtp_low}\nrtpend={rtp_high}\n",
    "cdr.conf": "[general]\nenable=yes\nbatch=yes\n",
    "cdr_csv.conf": "[csv]\nusegmtime=yes\n",
    "confbridge.conf": """\
[general]
[room]
type=bridge
internal_sample_rate=auto
mixing_interval=20
[party]
type=user
quiet=yes
announce_user_count=no
""",
    "extensions.conf": """\
[office]
exten => _1XXXX,1,Dial(PJSIP/${{EXTEN}},30)
exten => {play},1,Answer()
 same => n(again),Playback({home}/prompt)
 same => n,Goto(again)
exten => {ivr},1,Answer()
 same => n,Read(KEY,{home}/question,1,,1,5)
 same => n,Hangup()
exten => {room},1,Answer()
 same => n,ConfBridge(one,room,party)
exten => {callee},hint,PJSIP/{callee}
""",
}

PJSIP = """\
[system]
type = system
threadpool_initial_size = 20
[global]
type = global
endpoint_identifier_order = username,anonymous
[listener]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
[phone](!)
type = endpoint
transport = listener
context = office
disallow = all
allow = ulaw
direct_media = no
from_domain = office.test
allow_subscribe = yes
[login](!)
type = auth
auth_type = userpass
realm = office.test
[place](!)
type = aor
max_contacts = 1
remove_existing = yes
[anonymous](phone)
"""

PHONE = """\
[{user}](phone)
{auth}
aors = {user}
[{user}](login)
username = {user}
password = pass-{user}
[{user}](place)
"""


class Asterisk(SipContender):
    """Users 10000 … with digest on REGISTER and INVITE, and the numbers of `bench.peers.dial_plan`."""

    name: ClassVar[str] = "asterisk"
    asks_callers: ClassVar[bool] = True

    def start(self, directory: Path) -> None:
        if not (CHROOT / "usr/sbin/asterisk").exists():
            raise PeerMissing("Asterisk is missing: run `make peer-asterisk`")
        self.port = free_port()
        self.inside = f"/run/voipat-bench-{os.getpid()}-{self.port}"
        self.home = CHROOT / self.inside.lstrip("/")
        self.home.mkdir(parents=True)
        self._configure()
        command = [
            program("chroot"),
            str(CHROOT),
            "/usr/sbin/asterisk",
            "-f",
            "-n",
            "-C",
            f"{self.inside}/asterisk.conf",
        ]
        self.process = Process(command, cwd=self.home, log=self.home / "console.log")
        wait_until(self._is_ready, 60, "Asterisk is up")

    def _configure(self) -> None:
        values = {
            "home": self.inside,
            "rtp_low": RTP_LOW,
            "rtp_high": RTP_HIGH,
            "play": dial_plan.PLAY,
            "ivr": dial_plan.IVR,
            "room": dial_plan.ROOM,
            "callee": CALLEE,
        }
        for name, text in FILES.items():
            (self.home / name).write_text(text.format(**values))
        (self.home / "modules.conf").write_text(
            "[modules]\nautoload=no\n" + "".join(f"load={name}.so\n" for name in MODULES.split())
        )
        (self.home / "pjsip.conf").write_text(PJSIP.format(port=self.port) + "".join(map(self._phone, self.phones())))
        (self.home / "cdr-csv").mkdir()
        (self.home / "prompt.ulaw").write_bytes(sound.speech(dial_plan.PROMPT_SECONDS))
        (self.home / "question.ulaw").write_bytes(sound.speech(dial_plan.QUESTION_SECONDS))
        for empty in ("features.conf", "musiconhold.conf", "indications.conf", "cli.conf", "acl.conf", "udptl.conf"):
            (self.home / empty).write_text("")

    def phones(self) -> list[str]:
        return [*users(CALLERS), CALLEE]

    def _phone(self, user: str) -> str:
        asked = self.asks_callers or user == CALLEE
        return PHONE.format(user=user, auth=f"auth = {user}" if asked else "")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.alive(), f"Asterisk ended: {self.process.output()[-2000:]}"
        return "fully booted" in self.cli("core waitfullybooted")

    def cli(self, line: str) -> str:
        command = [
            program("chroot"),
            str(CHROOT),
            "/usr/sbin/asterisk",
            "-C",
            f"{self.inside}/asterisk.conf",
            "-rx",
            line,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout

    def stop(self) -> None:
        if self.process is not None:
            super().stop()
            shutil.rmtree(self.home, ignore_errors=True)

    def media_drops(self) -> int:
        return usage.kernel_drops(RTP_LOW, RTP_HIGH)

    def version(self) -> str:
        if not (CHROOT / "usr/sbin/asterisk").exists():
            raise PeerMissing("Asterisk is missing: run `make peer-asterisk`")
        command = [program("chroot"), str(CHROOT), "/usr/sbin/asterisk", "-V"]
        return " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[:2])


class AsteriskOfMany(Asterisk):
    """With 10,000 endpoints, each with its login and its place."""

    def phones(self) -> list[str]:
        return users(MANY)


class OpenAsterisk(Asterisk):
    """Lets everybody call its users."""

    asks_callers: ClassVar[bool] = False
