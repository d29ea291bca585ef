"""Asterisk 22 (PJSIP) as a phone that insists on SRTP: registers over TLS, answers, and sends back what it hears.

It lives in the chroot that `make peer-asterisk` fills, with a configuration directory of its own there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

from bench.rig.processes import PeerMissing, Process, wait_until

CHROOT = Path(__file__).resolve().parents[2] / "build" / "peers" / "asterisk"

FILES = {
    "asterisk.conf": """\
[directories]
astetcdir => {inside}
astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules
astvarlibdir => /var/lib/asterisk
astdbdir => {inside}
astkeydir => {inside}
astdatadir => /usr/share/asterisk
astspooldir => {inside}
astrundir => {inside}
astlogdir => {inside}
astsbindir => /usr/sbin
""",
    "modules.conf": """\
[modules]
autoload=no
load=res_sorcery_config.so
load=res_sorcery_memory.so
load=res_sorcery_astdb.so
load=res_pjproject.so
load=res_statsd.so
load=res_pjsip.so
load=res_pjsip_pubsub.so
load=res_pjsip_session.so
load=res_pjsip_authenticator_digest.so
load=res_pjsip_outbound_authenticator_digest.so
load=res_pjsip_outbound_registration.so
load=res_pjsip_endpoint_identifier_ip.so
load=res_pjsip_sdp_rtp.so
load=res_pjsip_caller_id.so
load=res_rtp_asterisk.so
load=res_srtp.so
load=res_crypto.so
load=res_timing_timerfd.so
load=chan_pjsip.so
load=codec_ulaw.so
load=codec_alaw.so
load=codec_g722.so
load=codec_resample.so
load=app_echo.so
load=pbx_config.so
""",
    "logger.conf": "[logfiles]\nconsole => notice,warning,error,verbose\n",
    "rtp.conf": "[general]\nrtpstart={rtp}\nrtpend={rtp_high}\nstrictrtp=yes\n",
    "extensions.conf": "[echo]\nexten => _X.,1,Answer()\n same => n,Echo()\n same => n,Hangup()\n",
    "pjsip.conf": """\
[global]
type=global

[over-tls]
type=transport
protocol=tls
bind=127.0.0.1:{port}
method=tlsv1_2
ca_list_file={inside}/authority.pem
verify_server=yes

[login]
type=auth
auth_type=userpass
username={user}
password={password}

[home]
type=aor
contact=sip:{server}\\;transport=tls

[voipat]
type=endpoint
transport=over-tls
context=echo
disallow=all
allow={codec}
aors=home
media_encryption={encryption}
media_encryption_optimistic=no
dtls_auto_generate_cert={makes_certificate}
dtls_verify=fingerprint
dtls_setup=actpass
rtp_symmetric=no

[voipat-source]
type=identify
endpoint=voipat
match=127.0.0.1

[registered]
type=registration
transport=over-tls
outbound_auth=login
server_uri=sip:{server}\\;transport=tls
client_uri=sip:{user}@office.test
contact_user={user}
retry_interval=5
expiration=120
""",
}


class Asterisk:
    """One Asterisk. `encryption` is "sdes" or "dtls", and a call without it is refused; `codec` as it calls it."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        server: str,
        port: int,
        trusted: Path,
        encryption: Literal["sdes", "dtls"],
        codec: str = "ulaw",
    ) -> None:
        if not (CHROOT / "usr/sbin/asterisk").exists():
            raise PeerMissing("Asterisk is missing: run `make peer-asterisk`")
        self.inside = f"/tmp/voipat-{os.getpid()}-{user}"
        self.directory = CHROOT / self.inside.lstrip("/")
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(trusted, self.directory / "authority.pem")
        rtp = 40000 + (port % 1000) * 20
        values = {
            "inside": self.inside,
            "user": user,
            "password": password,
            "server": server,
            "port": port,
            "encryption": encryption,
            "makes_certificate": "yes" if encryption == "dtls" else "no",
            "codec": codec,
            "rtp": rtp,
            "rtp_high": rtp + 19,
        }
        for name, text in FILES.items():
            (self.directory / name).write_text(text.format(**values))
        command = ["chroot", str(CHROOT), "asterisk", "-f", "-n", "-vvv", "-C", f"{self.inside}/asterisk.conf"]
        self.process = Process(command, cwd=self.directory, log=self.directory / "asterisk.log")

    def wait_ready(self, timeout: float = 20.0) -> None:
        wait_until(self._is_ready, timeout, "Asterisk is up")

    def _is_ready(self) -> bool:
        assert self.process.alive(), f"Asterisk ended: {self.process.output()[-3000:]}"
        return "Asterisk Ready" in self.process.output()

    def close(self) -> None:
        self.process.close()
        shutil.rmtree(self.directory, ignore_errors=True)
