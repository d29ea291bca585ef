"""Trunks of the daemon against real programs: sipp and baresip as a carrier, Kamailio as the registrar of ours."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.peers.kamailio import Kamailio
from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip

pytestmark = pytest.mark.interop

OFFICE = """\
[server]
media = "127.0.0.1:20000-29999"
default_tenant = "office.test"
[[tenant]]
domain = "office.test"
digest = ["MD5"]
[tenant.extensions]
1001 = "pass-1001"
1002 = "pass-1002"
"""


def office(directory: Path, *trunks: str) -> Server:
    config = directory / "office.toml"
    config.write_text(OFFICE + "".join(f"[[tenant.trunk]]\n{trunk}\n" for trunk in trunks))
    return Server(directory / "server", config=config)


def trunk(server: Server, name: str = "carrier") -> dict[str, Any]:
    return next(row for row in server.rows("trunks") if row["trunk"] == name)


def test_a_silent_carrier_is_out_after_three_questions_with_one_line_and_back_with_one_answer(tmp_path: Path) -> None:
    port = free_port()
    server = office(tmp_path, f'name = "carrier"\nhost = "127.0.0.1:{port}"\noptions_s = 5')
    try:
        wait_until(lambda: trunk(server)["state"] == "out", 40, "the trunk is out of service")
        answering = sipp.Sipp(tmp_path, "options", target=server.address, port=port)
        try:
            wait_until(lambda: trunk(server)["state"] == "in", 20, "the trunk is back")
        finally:
            answering.close()
        wait_until(lambda: "trunk is back" in server.process.output(), 10, "the log says so")
        assert server.process.output().count("trunk is out of service") == 1
        assert server.process.output().count("trunk is back") == 1
    finally:
        server.close()


def test_the_address_of_the_carrier_from_another_port_is_a_phone_that_must_log_in(tmp_path: Path) -> None:
    port = free_port(run=5)
    plan = '[[tenant.did]]\nnumber = "+12025550101"\ntarget = "*43"\n[tenant.features]\necho = "*43"'
    server = office(tmp_path, f'name = "carrier"\nhost = "127.0.0.1:{port}"\n{plan}')
    ended = {}
    try:
        for name, at in (("carrier", port), ("stranger", free_port(run=5))):
            account = f'<sip:+12025550123@127.0.0.1:{at}>;outbound="sip:{server.address};transport=udp";regint=0\n'
            phone = Baresip(
                tmp_path / name, user=name, password="", server=server.address, port=at, frequency=1000.0,
                accounts=account,
            )  # fmt: skip
            with closing(phone):
                phone.command("dial", f"sip:+12025550101@{server.address}")
                if name == "carrier":
                    phone.wait_for("CALL_ESTABLISHED")
                    phone.command("hangup")
                ended[name] = str(phone.wait_for("CALL_CLOSED").get("param"))
        assert ended["stranger"].startswith("401") and not ended["carrier"].startswith("4")
        assert [row["caller"] for row in server.rows("cdr")] == ["+12025550123"]
    finally:
        server.close()


def test_our_registration_at_kamailio_is_made_and_taken_back(tmp_path: Path) -> None:
    kamailio = Kamailio()
    kamailio.start(tmp_path / "kamailio")
    keys = ['name = "carrier"', f'host = "127.0.0.1:{kamailio.port}"', 'username = "office"', 'domain = "carrier.test"']
    keys += ['realm = "carrier.test"', "register = true", "register_s = 60", "options_s = 5"]
    wrong = [each.replace('"carrier"', '"wrong"') for each in keys]
    server = office(
        tmp_path,
        "\n".join([*keys, 'password = "pass-office"', 'dids = ["+12025550100"]']),
        "\n".join([*wrong, 'password = "not the one"', 'dids = ["+12025550101"]']),
    )
    try:
        wait_until(lambda: trunk(server)["registration"] == "registered", 15, "we are registered")
        assert trunk(server, "wrong")["registration"] == "waiting"
        assert trunk(server)["state"] == "in"
    finally:
        server.close()
        kamailio.stop()
