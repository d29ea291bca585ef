"""Asterisk 22 (PJSIP) out of the chroot that `make peer-asterisk` makes: a carrier, and the PBX of phones over there.

Needs root for the chroot. All files of a run are in a directory of its own below the chroot's /run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from bench.peers.asterisk import DIRECTORIES
from bench.rig.processes import PeerMissing, Process, free_port, program, wait_until
from tests.certificates import Authority
from tests.interop.outcomes import ASTERISK_ROOT

MODULES = "usr/lib/x86_64-linux-gnu/asterisk/modules"
# What a SIP switch needs; the other three hundred would take seconds to load.
WANTED = re.compile(
    r"(res_pjsip.*|res_pjproject|res_sorcery_(config|memory|astdb)|res_rtp_asterisk|res_srtp|res_timing_timerfd|bridge_.*"
    r"|chan_pjsip|pbx_config|app_(dial|echo|playtones)|codec_[au]law|func_(callerid|channel|logic|strings)"
    r"|res_clioriginate|res_musiconhold|format_(wav|pcm)|res_http_websocket|res_statsd|res_crypto|res_security_log)\.so"
)
UNWANTED = re.compile(
    r"res_pjsip_(phoneprov|publish|transport_websocket|stir_shaken|config_wizard|history|notify|geolocation).*"
)

ASTERISK = f"{DIRECTORIES}[options]\nverbose = 3\n"

PJSIP = """\
[system]
type = system
timer_t1 = 500
[global]
type = global
user_agent = Asterisk
endpoint_identifier_order = username,ip
[listener]
type = transport
protocol = {protocol}
bind = {bind}
{tls}
[phones]
type = transport
protocol = udp
bind = {phones}
[office]
type = endpoint
transport = listener
context = from-office
disallow = all
allow = ulaw,alaw
aors = office
direct_media = no
from_domain = carrier.test
send_pai = yes
100rel = {reliable}
timers = {timers}
timers_sess_expires = 90
timers_min_se = 90
[office]
type = aor
contact = {office}
[office]
type = identify
endpoint = office
match = {host}
[phone](!)
type = endpoint
context = from-phone
disallow = all
allow = ulaw,alaw
direct_media = no
[login](!)
type = auth
auth_type = userpass
[place](!)
type = aor
max_contacts = 1
remove_existing = yes
"""

PHONE = """\
[{user}](phone)
auth = {user}
aors = {user}
[{user}](login)
username = {user}
password = pass-{user}
[{user}](place)
"""

# 01: early media for three seconds, then the echo; 02: the echo. A number of theirs rings its phone.
EXTENSIONS = """\
[from-office]
exten => +12025550201,1,Progress()
 same => n,PlayTones(770)
 same => n,Wait(3)
 same => n,StopPlayTones()
 same => n,Answer()
 same => n,Echo()
exten => +12025550202,1,Answer()
 same => n,Echo()
{phones}
[from-phone]
{phones}
exten => _+1XXXXXXXXXX,1,Dial(PJSIP/${{EXTEN}}@office,60)
exten => _X.,1,Dial(PJSIP/${{EXTEN}},60)
"""


class Asterisk:
    """One instance at `address`; `office` is where the daemon listens ("127.0.0.1:5060"), `phones` who registers."""

    def __init__(
        self,
        *,
        office: str,
        transport: str = "udp",
        host: str = "127.0.0.1",
        phones: Sequence[str] = (),
        reliable: str = "yes",
        timers: str = "yes",
        authority: Authority | None = None,
    ) -> None:
        if not (ASTERISK_ROOT / "usr/sbin/asterisk").exists():
            raise PeerMissing("Asterisk is not here: run `make peer-asterisk` as root")
        self.port = free_port(run=2)
        bracketed = f"[{host}]" if ":" in host else host
        self.address = f"{bracketed}:{self.port}"
        self.phones_at = f"{bracketed}:{self.port + 1}"
        self._home = f"/run/voipat-{os.getpid()}-{self.port}"
        self.directory = ASTERISK_ROOT / self._home.lstrip("/")
        self.directory.mkdir(parents=True)
        tls = ""
        if authority is not None:
            pair = authority.issue("localhost", host, stem="asterisk")
            for name, path in (("chain", pair.chain), ("key", pair.key), ("ca", authority.file)):
                shutil.copy(path, self.directory / f"{name}.pem")
            home = self._home
            tls = (
                f"cert_file={home}/chain.pem\npriv_key_file={home}/key.pem\nca_list_file={home}/ca.pem\nmethod=tlsv1_2"
            )
        contact = f"sip:{office};transport={transport}"
        pjsip = PJSIP.format(
            protocol=transport,
            bind=self.address,
            phones=self.phones_at,
            tls=tls,
            office=contact,
            host=office.rpartition(":")[0].strip("[]"),
            reliable=reliable,
            timers=timers,
        )
        dialled = "\n".join(f"exten => {user},1,Dial(PJSIP/{user},60)" for user in phones)
        self._write("asterisk.conf", ASTERISK.format(home=self._home))
        self._write("modules.conf", "[modules]\nautoload=no\n" + "".join(f"load={name}\n" for name in _modules()))
        self._write("logger.conf", "[general]\n[logfiles]\nconsole => notice,warning,error,verbose\n")
        self._write("pjsip.conf", pjsip + "".join(PHONE.format(user=user) for user in phones))
        self._write("extensions.conf", EXTENSIONS.format(phones=dialled))
        rtp = 34000 + self.port % 100 * 40
        self._write("rtp.conf", f"[general]\nrtpstart={rtp}\nrtpend={rtp + 39}\n")
        for empty in ("features.conf", "musiconhold.conf", "indications.conf", "cli.conf", "acl.conf", "udptl.conf"):
            self._write(empty, "")
        command = [
            program("chroot"),
            str(ASTERISK_ROOT),
            "/usr/sbin/asterisk",
            "-f",
            "-C",
            f"{self._home}/asterisk.conf",
        ]
        self.process = Process([*command, "-n"], cwd=self.directory, log=self.directory / "console.log")
        wait_until(self._is_up, 30, "Asterisk is up")
        self.cli("pjsip set logger on")

    def cli(self, line: str) -> str:
        """What its command line answers."""
        command = [program("chroot"), str(ASTERISK_ROOT), "/usr/sbin/asterisk", "-C", f"{self._home}/asterisk.conf"]
        done = subprocess.run([*command, "-rx", line], capture_output=True, text=True, timeout=20)
        return done.stdout

    def call(self, number: str) -> None:
        """Calls a number of the office; who answers hears itself."""
        self.cli(f"channel originate PJSIP/{number}@office application Echo")

    def requests(self, method: str, direction: str = "Received") -> int:
        """How many requests of a method its trace shows: "Received" or "Transmitting"."""
        pattern = rf"^<?-*\s*{direction} SIP request.*?\n{method} sip"
        return len(re.findall(pattern, self.process.output(), re.M))

    def _write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def _is_up(self) -> bool:
        assert self.process.alive(), f"Asterisk ended: {self.process.output()[-2000:]}"
        return "fully booted" in self.cli("core waitfullybooted")

    def close(self) -> None:
        self.process.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _modules() -> list[str]:
    found = sorted(path.name for path in (ASTERISK_ROOT / MODULES).glob("*.so"))
    return [name for name in found if WANTED.fullmatch(name) and not UNWANTED.fullmatch(name)]
