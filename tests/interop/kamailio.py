"""Kamailio beside the daemon: the edge proxy that phones register through, or a carrier with subscribers of its own.

Unpacked by `make bench-peers`; in memory, no database.
"""

from __future__ import annotations

from pathlib import Path

from bench.peers.base import UNPACKED, library_path, peer_program
from bench.rig.processes import Process, free_port, wait_until
from tests.certificates import Authority

GLOBAL = """\
debug=2
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
tcp_source_ipv4={host}
mpath="{modules}"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "path.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "gruu_enabled", 0)
"""

TLS = """\
enable_tls=yes
listen=tls:{host}:{port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{chain}")
modparam("tls", "private_key", "{key}")
modparam("tls", "ca_list", "{trusted}")
"""

MUTUAL = """\
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
"""

IN_DIALOG = """\
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (has_totag()) {
    if (loose_route()) { t_relay(); exit; }
    if (is_method("ACK") && t_check_trans()) { t_relay(); exit; }
    if (is_method("ACK")) exit;
    sl_send_reply("404", "Not here");
    exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  t_check_trans();
"""

# Phones know only this proxy; what comes from the daemon's port has its Path as Route and goes on to the phone.
EDGE = """\
request_route {{
{in_dialog}
  if (is_method("REGISTER")) {{
    add_path();
    $du = "sip:{server};transport={transport}";
    t_relay();
    exit;
  }}
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  remove_hf("Route");
  if ($sp != {server_port}) $du = "sip:{server};transport={transport}";
  t_relay();
}}
"""

# Subscribers register here with a password; what is no subscriber of ours but a number of the office goes there.
CARRIER = """\
request_route {{
{in_dialog}
  if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("$td", "pass-$au", "0")) {{ www_challenge("$td", "0"); exit; }}
    consume_credentials();
    save("location");
    exit;
  }}
  if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("INVITE")) {{
    if ($fd == "carrier.test" && !pv_proxy_authenticate("carrier.test", "pass-$au", "0")) {{
      proxy_challenge("carrier.test", "0");
      exit;
    }}
    consume_credentials();
    record_route();
  }}
  if ($rU =~ "^\\+1202555010") {{ $du = "sip:{server};transport={transport}"; t_relay(); exit; }}
  if (!lookup("location")) {{ t_newtran(); t_reply("404", "Not Found"); exit; }}
  t_relay();
}}
"""


class Kamailio:
    """One proxy with a port for UDP and TCP; `routing` is EDGE or CARRIER, `server` where the daemon listens.

    With an `authority` it listens for TLS too, on the next port, which is then its `address`; `plain` is that of UDP.
    `mutual`: it talks only to who has a certificate of the authority, and looks at it on both sides.
    """

    def __init__(
        self,
        directory: Path,
        routing: str,
        *,
        server: str,
        transport: str = "udp",
        host: str = "127.0.0.1",
        authority: Authority | None = None,
        mutual: bool = False,
    ) -> None:
        program = peer_program("kamailio")
        directory.mkdir(parents=True)
        self.port = free_port(run=2)
        self.plain = f"{host}:{self.port}"
        self.address = f"{host}:{self.port + (authority is not None)}"
        base = UNPACKED if program.startswith(str(UNPACKED)) else Path("/")
        modules = ":".join(map(str, base.glob("usr/lib/*/kamailio/modules")))
        config = directory / "kamailio.cfg"
        config.write_text(
            GLOBAL.format(host=host, port=self.port, modules=modules)
            + ("" if authority is None else _tls(authority, host, self.port + 1, mutual))
            + routing.format(
                in_dialog=IN_DIALOG, server=server, server_port=server.rpartition(":")[2], transport=transport
            )
        )
        command = [program, "-DD", "-E", "-f", str(config), "-m", "64", "-M", "8", "-Y", str(directory)]
        self.process = Process(command, cwd=directory, log=directory / "kamailio.log", LD_LIBRARY_PATH=library_path())
        listening = f":{self.port:04X}"
        wait_until(
            lambda: (
                self._is_up() and listening in Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            ),
            15,
            f"kamailio is up: {self.process.output()[-2000:]}",
        )

    def _is_up(self) -> bool:
        assert self.process.alive(), f"kamailio ended: {self.process.output()[-2000:]}"
        return True

    def close(self) -> None:
        self.process.close()


def _tls(authority: Authority, host: str, port: int, mutual: bool) -> str:
    pair = authority.issue("localhost", host, "carrier.test", stem="kamailio")
    text = TLS.format(host=host, port=port, chain=pair.chain, key=pair.key, trusted=authority.file)
    return text + (MUTUAL if mutual else "")
