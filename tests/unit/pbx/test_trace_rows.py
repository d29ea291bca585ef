"""Traces as rows, as text and as pcapng."""

from __future__ import annotations

import json
from pathlib import Path

from pbx import trace
from pbx.control import MAX_LINE
from pbx.output import Row, json_line
from sipcore.flow import Address, Flow
from tests.unit.pbx.test_pcapng import packets
from voipat.recorder import Recorder, RecorderLimits

PHONE = Flow("UDP", Address("127.0.0.1", 5060), Address("192.0.2.1", 5062))
PHONE6 = Flow("TLS", Address("2001:db8::1", 5061), Address("2001:db8::9", 40000), 3)
INVITE = (
    b"INVITE sip:1002@office.test SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n"
    b'Authorization: Digest response="5ec2e7"\r\nX: \xff\x1b[2J\r\n\r\n'
)
REFUSED = b'SIP/2.0 404 Not Found\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nWarning: 399 x "VP-3001 Unknown number"\r\n\r\n'


def recorder(flow: Flow = PHONE, **limits: int) -> Recorder:
    made = Recorder(RecorderLimits(**limits))  # type: ignore[arg-type]  # by name
    made.start(lambda: 5.0, lambda: 1_767_225_600.0, lambda data, flow: frozenset())
    made.observe(INVITE, flow, False, 5.0)
    made.dropped("a test")
    made.observe(REFUSED, flow, True, 5.25)
    return made


def rows(made: Recorder, *, messages: bool = False) -> list[Row]:
    found = made.find("a")
    assert found is not None
    return list(trace.entry_rows(found, made, messages=messages))


def test_rows_say_when_who_to_whom_and_what() -> None:
    assert rows(recorder()) == [
        {
            "time": "2026-01-01T00:00:00.000Z",
            "kind": "message",
            "sent": False,
            "transport": "UDP",
            "from": "192.0.2.1:5062",
            "to": "127.0.0.1:5060",
            "text": "INVITE sip:1002@office.test",
        },
        {"time": "2026-01-01T00:00:00.000Z", "kind": "decision", "text": "dropped: a test"},
        {
            "time": "2026-01-01T00:00:00.250Z",
            "kind": "message",
            "sent": True,
            "transport": "UDP",
            "from": "127.0.0.1:5060",
            "to": "192.0.2.1:5062",
            "text": "404 Not Found (INVITE)",
            "reason": "VP-3001 Unknown number",
        },
    ]


def test_the_ladder_is_one_line_an_entry() -> None:
    first, decision, last = trace.lines(rows(recorder()), messages=False)
    assert first[:2].isdigit() and first.endswith(".000  192.0.2.1:5062 → voipat  INVITE sip:1002@office.test")
    assert decision.endswith("  · dropped: a test")
    assert last.endswith(".250  voipat → 192.0.2.1:5062  404 Not Found (INVITE)  VP-3001 Unknown number")


def test_whole_messages_are_masked_and_harmless_to_a_terminal() -> None:
    printed = list(trace.lines(rows(recorder(), messages=True), messages=True))
    assert '    Authorization: Digest response="xxxxxx"' in printed
    assert "    X: \\xff\\x1b[2J" in printed and all(line.isprintable() for line in printed)


def test_rows_survive_json_and_become_packets_with_the_bytes_that_were_sent(tmp_path: Path) -> None:
    for flow in (PHONE, PHONE6):
        sent = [json.loads(json_line(row)) for row in rows(recorder(flow), messages=True)]
        assert trace.write_pcapng(sent, tmp_path / "a.pcapng") == 2
        first, second = packets((tmp_path / "a.pcapng").read_bytes())
        assert first.data.endswith(INVITE.replace(b"5ec2e7", b"xxxxxx")) and second.data.endswith(REFUSED)
        over = ["over TLS"] if flow is PHONE6 else []
        assert (first.comments, second.comments) == (over, ["dropped: a test", *over])
        assert second.micros - first.micros == 250_000


def test_what_fell_out_of_the_middle_is_said() -> None:
    made = recorder(entries=3, first_entries=1)
    made.observe(REFUSED, PHONE, True, 6.0)
    texts = [row["text"] for row in rows(made)]
    assert texts[:2] == ["INVITE sip:1002@office.test", "1 entries in the middle are not kept"]


def test_the_list_says_why_nobody_was_let_in() -> None:
    made = recorder()
    (row,) = trace.trace_rows(made, failed=True, limit=10)
    assert (row["id"], row["fate"], row["cause"], row["call_ids"]) == ("a", "refused", "VP-3001 Unknown number", ["a"])
    assert list(trace.trace_rows(made, tenant="office.test", limit=10)) == []


def test_the_longest_message_still_is_one_line_of_the_control_socket() -> None:
    made = recorder()
    made.observe(REFUSED + b"\x80" * (65535 - len(REFUSED)), PHONE, True, 6.0)
    assert max(len(json_line(row)) for row in rows(made, messages=True)) < MAX_LINE - 1024
