"""The flight recorder of a running daemon: the guide's commands, and Wireshark's reading of its files."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, program
from bench.rig.server import REPOSITORY, VOIPAT, Server
from pbx.pcapng import PcapngWriter
from tests.interop.test_sipp import call_rows, register

pytestmark = pytest.mark.interop

GUIDE = REPOSITORY / "docs" / "guides" / "why-did-it-fail.md"


def answered_call(directory: Path, server: Server) -> dict[str, Any]:
    """One call of 1001 to 1002; its row in the list of traces."""
    contact = free_port()
    register(directory, server, "1002", contact)
    callee = sipp.Sipp(directory, "answer", target=server.address, port=contact)
    try:
        sipp.run(directory, "call", target=server.address, port=free_port(), calls=1, rows=call_rows("1002"))
    finally:
        callee.close()
    return server.rows("trace", "--last")[0]


def failed_call(directory: Path, server: Server) -> dict[str, Any]:
    sipp.run(directory, "expect_404", target=server.address, port=free_port(), calls=1, rows=call_rows("7777"))
    return server.rows("trace", "--failed")[0]


def dissected(file: Path) -> list[list[str]]:
    """Method, status, CSeq method, comment of each packet, as tshark reads it; a packet that is no SIP has none."""
    fields = [
        "sip.Method",
        "sip.Status-Code",
        "sip.CSeq.method",
        "frame.comment",
        "_ws.malformed",
        "udp.checksum.status",
    ]
    command = [
        program("tshark"),
        "-r",
        str(file),
        "-o",
        "udp.check_checksum:TRUE",
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=|",
    ]
    done = subprocess.run(
        [*command, *(part for field in fields for part in ("-e", field))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def kinds_of_rows(rows: list[dict[str, Any]]) -> list[str]:
    kinds = []
    for row in rows:
        if row["kind"] == "message":
            first, *_ = row["text"].split(" ")
            method = re.search(r"\((\w+)\)$", row["text"])
            kinds.append(f"{first} {method[1]}" if method and first.isdigit() else first)
    return kinds


def kinds_of_packets(packets: list[list[str]]) -> list[str]:
    return [f"{status} {cseq}" if status else method for method, status, cseq, *_ in packets]


def test_wireshark_reads_the_same_messages_in_the_same_order(tmp_path: Path, server: Server) -> None:
    row = answered_call(tmp_path, server)
    assert (row["caller"], row["callee"], row["fate"]) == ("1001", "1002", "ended")
    file = tmp_path / "call.pcapng"
    server.cli("trace", row["id"], "--pcap", str(file))
    told, packets = server.rows("trace", row["id"]), dissected(file)
    assert kinds_of_packets(packets) == kinds_of_rows(told)
    assert Counter(kinds_of_rows(told))["200 BYE"] == 2 and "401 INVITE" in kinds_of_rows(told)
    assert all(malformed == "" and checksum in ("1", "Good") for *_, malformed, checksum in packets)
    assert any("goes to extension 1002" in comment for *_, comment, _, _ in packets)
    digest = re.search(rb'response="([^"]+)"', file.read_bytes())
    assert digest is not None and set(digest[1]) == {ord("x")}


def test_a_call_is_found_by_every_name_that_it_has(tmp_path: Path, server: Server) -> None:
    row = answered_call(tmp_path, server)
    leg_ids = [cdr["id"] for cdr in server.rows("cdr", "--legs")]
    for name in (row["id"], *row["call_ids"], *leg_ids):
        assert server.rows("trace", name) == server.rows("trace", row["id"])


def test_a_refused_call_is_kept_with_its_reason(tmp_path: Path, server: Server) -> None:
    rows = call_rows("1002", password="wrong")
    sipp.run(tmp_path, "wrong_password", target=server.address, port=free_port(), calls=1, rows=rows)
    (row,) = server.rows("trace", "--failed")
    assert row["fate"] == "refused" and "VP-100" in row["cause"]
    assert "VP-1002 Wrong password" in server.cli("trace", row["id"])


def test_each_command_of_the_guide_works(tmp_path: Path, server: Server) -> None:
    row = failed_call(tmp_path, server)
    blocks = re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(commands) >= 7
    printed = ""
    for command in commands:
        name, verb, *rest = shlex.split(command.replace("CALL", row["id"]))
        assert name == ".venv/bin/voipat"
        place = [] if verb == "explain" else ["--data", str(server.data)]
        done = subprocess.run([VOIPAT, verb, *rest, *place], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        printed += done.stdout
    assert (tmp_path / "call.pcapng").stat().st_size > 1000
    assert "routed nowhere: VP-3001 Unknown number" in printed and "404 Not Found (INVITE)" in printed


def test_a_tenant_that_is_not_traced_leaves_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", **{"tenant.office.test.trace": "false"})
    try:
        answered_call_rows = server.rows("trace", "--last")
        sipp.run(tmp_path, "expect_404", target=server.address, port=free_port(), calls=1, rows=call_rows("7777"))
        assert answered_call_rows == server.rows("trace", "--last") == []
        assert server.stats()["trace_bytes"] == 0
    finally:
        server.close()


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (("192.0.2.1", 5062), ("192.0.2.2", 5060)),
        (("192.0.2.1", 40000), ("192.0.2.2", 5061)),
        (("2001:db8::1", 33000), ("2001:db8::2", 15061)),
    ],
)
def test_wireshark_reads_both_families_on_any_port(
    tmp_path: Path, source: tuple[str, int], destination: tuple[str, int]
) -> None:
    file = tmp_path / "two.pcapng"
    head = b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\n"
    with file.open("wb") as stream:
        writer = PcapngWriter(stream)
        writer.packet(0.5, source, destination, b"OPTIONS sip:c@d SIP/2.0\r\n" + head + b"CSeq: 1 OPTIONS\r\n\r\n")
        writer.packet(0.6, destination, source, b"SIP/2.0 200 OK\r\n" + head + b"CSeq: 1 OPTIONS\r\n\r\n")
        writer.close()
    packets = dissected(file)
    assert kinds_of_packets(packets) == ["OPTIONS", "200 OPTIONS"]
    assert all(checksum in ("1", "Good") for *_, checksum in packets)
