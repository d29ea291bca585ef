"""Wireshark's dissector reads what we write as our parser does: every message of a simulated office."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.rig.processes import program
from pbx.pcapng import PcapngWriter
from sipcore.message import Request
from sipcore.parser import parse_message
from sipcore.sdp import parse_sdp
from tests.sim.office import Office
from voipat.testing.ladder import Rung

FIELDS = (
    "sip.Method",
    "sip.Status-Code",
    "sip.r-uri",
    "sip.Call-ID",
    "sip.CSeq.seq",
    "sip.CSeq.method",
    "sip.from.tag",
    "sip.to.tag",
    "sip.Via.branch",
    "sip.Via.sent-by.address",
    "sip.contact.uri",
    "sip.Max-Forwards",
    "sip.Content-Length",
    "sdp.media.port",
    "_ws.malformed",
)


def ours(rung: Rung) -> list[str]:
    message = parse_message(rung.data)
    is_request = isinstance(message, Request)
    contact = "" if not message.contacts else str(message.contacts[0].uri)
    audio = parse_sdp(message.body).media if (message.headers.get("Content-Type") or "") == "application/sdp" else []
    return [
        message.method if isinstance(message, Request) else "",
        "" if isinstance(message, Request) else str(message.status),
        message.uri_text if is_request else "",  # type: ignore[union-attr]
        message.call_id,
        str(message.cseq.number),
        message.cseq.method,
        message.from_.tag or "",
        message.to.tag or "",
        "|".join(via.params.get("branch") or "" for via in message.vias),
        "|".join(via.host for via in message.vias),
        contact,
        message.headers.get("Max-Forwards") or "",
        message.headers.get("Content-Length") or "",
        "|".join(str(each.port) for each in audio),
        "",
    ]


def theirs(file: Path, port: int) -> list[list[str]]:
    fields = [part for field in FIELDS for part in ("-e", field)]
    command = [program("tshark"), "-r", str(file), "-d", f"udp.port=={port},sip", "-T", "fields"]
    done = subprocess.run(
        [*command, "-E", "occurrence=a", "-E", "aggregator=|", *fields], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def an_office() -> list[Rung]:
    """Registrations, calls, a hold, a transfer, a refusal, a cancelled call, and what watches them."""
    with Office(seed=1) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 3.0)
        call.hold()
        office.world.run(until=office.world.now + 2.0)
        bob.received[0].refer(bob.uri_of("1003"))
        office.world.run(until=office.world.now + 5.0)
        call.hang_up()
        carol.refuses(486)
        alice.dial("1003")
        bob.rings()
        given_up = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        given_up.give_up()
        alice.dial("7777")
        office.world.run()
        return list(office.world.network.ladder)


def test_another_parser_reads_the_same(tmp_path: Path) -> None:
    rungs = an_office()
    file = tmp_path / "office.pcapng"
    with file.open("wb") as stream:
        writer = PcapngWriter(stream)
        for rung in rungs:
            writer.packet(1000.0 + rung.time, (rung.source.host, 5060), (rung.destination.host, 5060), rung.data)
        writer.close()
    read = theirs(file, 5060)
    assert len(read) == len(rungs) and len({row[0] for row in read}) > 7, "methods of all kinds"
    for rung, row in zip(rungs, read, strict=True):
        assert dict(zip(FIELDS, row, strict=True)) == dict(zip(FIELDS, ours(rung), strict=True)), rung.kind
