"""Two whole PBXs that forward to each other by a trunk: the loop guard ends it (RFC 5393, RFC 5806, RFC 7332)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.faults.phone_by_hand import PhoneByHand

pytestmark = pytest.mark.slow

PBX = """\
[server]
media = "127.0.0.1:{media}"
default_tenant = "office.test"

[[tenant]]
domain = "office.test"
digest = ["MD5"]
country_code = "+49"

[[tenant.extension]]
number = "1001"
password = "pass-1001"

[[tenant.extension]]
number = "1002"
password = "pass-1002"
forward = {{ always = "9030123456" }}

[[tenant.trunk]]
name = "other"
host = "127.0.0.1:{other}"
options_s = 0
{identity}

[[tenant.did]]
number = "+4930123456"
target = "1002"

[[tenant.route]]
name = "outside"
pattern = "9X."
strip = 1
trunks = ["other"]
"""


@contextmanager
def two_pbxs(directory: Path, identity: str) -> Iterator[tuple[Server, Server]]:
    """Each has the other as its trunk, and forwards to it what comes from it."""
    ports = free_port(run=3), free_port(run=3)
    with ExitStack() as stack:
        servers = []
        for name, port, other, media in (("a", *ports, "20000-24999"), ("b", *reversed(ports), "25000-29999")):
            place = directory / name
            place.mkdir()
            config = place / "pbx.toml"
            config.write_text(PBX.format(other=other, identity=identity, media=media))
            servers.append(Server(place / "server", config=config, port=port))
            stack.callback(servers[-1].close)
        yield servers[0], servers[1]


@pytest.mark.parametrize("identity", ['identity = "pai"', ""], ids=["trusted", "not trusted"])
def test_two_pbxs_that_forward_to_each_other_end_it(tmp_path: Path, identity: str) -> None:
    """With or without Diversion: the caller is told within ten legs, and the CDRs of both say which way it went."""
    with two_pbxs(tmp_path, identity) as (a, b):
        with PhoneByHand("127.0.2.1", ("127.0.0.1", a.port), "1001", "pass-1001") as phone:
            assert phone.register() == ""
            said = phone.call("1002")
        assert said.startswith("INVITE: 482") and "VP-3209" in said, said
        for server in (a, b):
            wait_until(lambda server=server: server.stats()["calls"] == 0, 20, "no call is left")  # type: ignore[misc]
            assert [row["calls"] for row in server.rows("trunks")] == [0]
        rows = {row["a_leg"]["call_id"]: row for server in (a, b) for row in server.rows("cdr")}
    assert 4 <= len(rows) <= 10
    assert {(row["cause"]["sip"], row["cause"]["id"]) for row in rows.values()} == {(482, "VP-3209")}
    chain = [next(row for row in rows.values() if row["caller"] == "1001")]
    while (following := rows.get(leg_out(chain[-1]))) is not None:
        chain.append(following)
    assert len(chain) == len(rows), "each leg leads to the CDR of the next PBX"
    assert {row["route"] for row in chain} == {"+4930123456 by other"}


def leg_out(row: dict[str, Any]) -> str:
    return "" if row["b_leg"] is None else str(row["b_leg"]["call_id"])
