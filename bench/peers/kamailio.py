"""Kamailio as registrar and stateful record-routing proxy, all in memory, digest on REGISTER and on INVITE."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers.base import UNPACKED, SipContender, library_path, peer_program
from bench.rig.processes import Process, free_port, wait_until
from bench.rig.usage import tree

# One worker for one core: it costs less than two and never sends a 200 before the 180 that came first.
CONFIG = """\
debug=0
log_stderror=yes
children=1
auto_aliases=no
disable_tcp=yes
socket_workers=1
listen=udp:127.0.0.1:{port}
mpath="{modules}"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
modparam("registrar", "max_expires", 6000)
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("$td", "pass-$au", "0")) {{ www_challenge("$td", "0"); exit; }}
    consume_credentials();
    save("location");
    exit;
  }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    sl_send_reply("404", "Not here");
    exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  t_check_trans();
  if (is_method("INVITE")) {{
    {challenge}
    record_route();
  }}
  if (!lookup("location")) {{ t_newtran(); t_reply("404", "Not Found"); exit; }}
  t_relay();
}}
"""

CHALLENGE = """\
if (!pv_{kind}_authenticate("$td", "pass-$au", "0")) {{ {kind}_challenge("$td", "0"); exit; }}
    consume_credentials();"""


class Kamailio(SipContender):
    """From the distribution's package, no database, no log."""

    name: ClassVar[str] = "kamailio"
    # Before an INVITE is relayed.
    challenge: ClassVar[str] = CHALLENGE.format(kind="www")

    def start(self, directory: Path) -> None:
        program = peer_program("kamailio")
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        config = directory / "kamailio.cfg"
        config.write_text(CONFIG.format(port=self.port, modules=self._modules(program), challenge=self.challenge))
        command = [program, "-DD", "-E", "-f", str(config), "-m", "256", "-M", "16", "-Y", str(directory)]
        self.process = Process(command, cwd=directory, log=directory / "kamailio.log", LD_LIBRARY_PATH=library_path())
        wait_until(self._ready, 10, f"kamailio is ready:\n{self.process.output()[-2000:]}")

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.alive(), f"kamailio ended: {self.process.output()[-2000:]}"
        listening = f"0100007F:{self.port:04X}" in Path("/proc/net/udp").read_text()
        return listening and len(tree(self.pid)) >= 3

    @staticmethod
    def _modules(program: str) -> str:
        base = UNPACKED if program.startswith(str(UNPACKED)) else Path("/")
        return ":".join(map(str, base.glob("usr/lib/*/kamailio/modules")))

    def version(self) -> str:
        command = [peer_program("kamailio"), "-v"]
        environment = {**os.environ, "LD_LIBRARY_PATH": library_path()}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()[0].removeprefix("version: ").split("(")[0].strip()


class KamailioProxy(Kamailio):
    """Asks as a proxy does, by 407."""

    challenge: ClassVar[str] = CHALLENGE.format(kind="proxy")


class KamailioOpenProxy(Kamailio):
    """Lets everybody call its users."""

    challenge: ClassVar[str] = ""
