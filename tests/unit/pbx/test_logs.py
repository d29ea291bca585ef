"""The log: structured, masked, limited per cause, and never in the way."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from pbx.logs import LineFormatter, LineSink, LogSession, RateLimit, masked, trace_of


def record(message: str, *, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "pbx.calls", "levelno": level, "levelname": "INFO", "msg": message})
    made.__dict__.update(extra, created=1_700_000_000.125)
    return made


def test_a_logfmt_line_has_time_level_logger_message_then_tenant_and_call() -> None:
    line = LineFormatter().format(record("call answered", port=5, call="c1", tenant="office.test"))
    assert line == (
        "time=2023-11-14T22:13:20.125Z level=info logger=pbx.calls "
        'msg="call answered" tenant=office.test call=c1 port=5'
    )


def test_a_json_line_is_one_object_with_the_same_fields() -> None:
    line = LineFormatter(as_json=True).format(record("call answered", call="c1", answered=True))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.125Z",
        "level": "info",
        "logger": "pbx.calls",
        "msg": "call answered",
        "call": "c1",
        "answered": True,
    }


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "text", ["a\r\nlevel=error", "\x1b[2J", "\x00", "\x9b31m", "\u202egnp.exe", "\udcff", "\u2028"]
)
def test_control_bytes_of_a_peer_are_escaped(text: str, as_json: bool) -> None:
    line = LineFormatter(as_json=as_json).format(record("x %s", args=(text,), user_agent=text))
    assert line.isprintable() and "\n" not in line


def test_a_quote_in_a_value_does_not_end_it() -> None:
    assert LineFormatter().format(record('say "hi"')).endswith('msg="say \\"hi\\""')


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('Digest username="a", response="0123abcd", nc=1', 'Digest username="a", response=***, nc=1'),
        ("Authorization: Digest username=x, response=y", "Authorization: ***"),
        ("Proxy-Authorization : Digest z", "Proxy-Authorization : ***"),
        ("password=pass-1001 next", "password=*** next"),
        ('password = "two words", next', "password = ***, next"),
        ('{"ha1": "00ff"}', '{"ha1": ***}'),
        ("sip:1001:hunter2@office.test", "sip:1001:***@office.test"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGw+/A== x", "inline:*** x"),
        ("Signal=5\r\nDuration=160", "Signal=*\r\nDuration=160"),
        ("sip:1001@office.test:5060", "sip:1001@office.test:5060"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_in_a_text_are_masked(text: str, left: str) -> None:
    assert masked(text).endswith(left)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", "pass-1001", "***"),
        ("ha1_md5", "00ff", "***"),
        ("api_key", "k", "***"),
        ("digit", "5", "*"),
        ("digits", "1234", "****"),
    ],
)
def test_secret_and_digit_fields_are_masked_by_their_name(name: str, value: str, shown: str) -> None:
    line = LineFormatter().format(record("x", **{name: value}))
    assert line.endswith(f"{name}={shown}")


def test_a_bug_is_one_line_with_the_same_trace_each_time() -> None:
    def traces() -> Iterator[str]:
        for detail in ("one\ntwo", "three"):
            with pytest.raises(RuntimeError) as caught:
                raise RuntimeError(detail)
            line = LineFormatter().format(record("failed", exc_info=(RuntimeError, caught.value, caught.tb)))
            assert "\n" not in line and "where=" in line and f"trace={trace_of(caught.value)}" in line
            yield trace_of(caught.value)

    assert len(set(traces())) == 1


def test_a_line_over_the_limit_is_shortened_and_stays_readable() -> None:
    line = LineFormatter(as_json=True).format(record("x", **{f"field{n}": "y" * 2000 for n in range(20)}))
    fields = json.loads(line)
    assert fields["msg"] == "x" and fields["fields_left_out"] > 0 and len(line) <= 8192


def test_ten_lines_a_second_of_one_cause_then_the_next_line_says_how_many_more() -> None:
    limit = RateLimit()
    assert [limit.admit("a", 5.0 + n / 100) for n in range(15)] == [0] * 10 + [None] * 5
    assert limit.admit("b", 5.5) == 0
    assert limit.admit("a", 6.0) == 5
    assert limit.left_out == 5


def test_a_flood_that_stops_is_still_counted_out_loud() -> None:
    limit = RateLimit()
    for _ in range(13):
        limit.admit("a", 5.0)
    assert limit.expired(5.9) == []
    assert limit.expired(6.0) == [("a", 3)]
    assert limit.expired(7.0) == []


def test_a_line_that_would_be_left_out_need_not_be_made() -> None:
    limit = RateLimit()
    assert not limit.refuses("a", 5.0)
    for n in range(10):
        limit.admit("a", 5.0 + n / 100)
    assert limit.refuses("a", 5.5) and limit.left_out == 1
    assert not limit.refuses("b", 5.5)
    assert limit.expired(6.0) == [("a", 1)]


def test_a_cause_that_is_named_is_counted_by_its_name_and_not_shown() -> None:
    reading, writing = os.pipe()
    session = LogSession(descriptor=writing)
    for cause in ("one", "two"):
        for _ in range(11):
            logging.getLogger("pbx.test").info("x", extra={"rate_cause": cause})
    session.close()
    os.close(writing)
    with os.fdopen(reading) as stream:
        lines = stream.read().splitlines()
    assert len(lines) == 20 and all(line.endswith("msg=x") for line in lines)


def test_causes_are_bounded() -> None:
    limit = RateLimit(max_causes=3)
    for n in range(100):
        limit.admit(str(n), 5.0)
    assert limit.expired(9.0) == []


def test_a_reader_that_stopped_costs_lines_and_stops_nobody() -> None:
    reading, writing = os.pipe()
    sink = LineSink(writing, capacity=100)
    writer = threading.Thread(target=lambda: [sink.write("x" * 500) for _ in range(5000)], daemon=True)
    writer.start()
    writer.join(60)
    assert not writer.is_alive()
    assert sink.dropped > 4000
    os.close(reading)  # EPIPE frees the thread
    sink.close(5.0)
    os.close(writing)


def test_a_full_disk_costs_lines_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = LineSink(descriptor)
    sink.write("lost")
    wait_until(lambda: sink.dropped == 1, 5, "the full disk is noticed")
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, descriptor)
    sink.write("kept")
    sink.close(5.0)
    os.close(log)
    os.close(descriptor)
    assert (tmp_path / "log").read_text().splitlines() == [
        'level=warning logger=pbx.logs msg="log lines dropped" lines=1',
        "kept",
    ]


LIMITED = """
import resource, signal, time
from pbx.logs import LineSink

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
sink = LineSink(1)
sink.write("a line of many")
while not sink.dropped:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
sink.write("the next")
sink.close(5.0)
"""


def test_a_line_that_a_full_disk_cut_short_does_not_join_the_next(tmp_path: Path) -> None:
    """A limit on the size of files cuts as a disk does."""
    path = tmp_path / "log"
    with path.open("wb") as log:
        subprocess.run([sys.executable, "-c", LIMITED], stdout=log, check=True, timeout=60)
    assert path.read_text().splitlines()[::2] == ["a line of ", "the next"]


def test_lines_reach_the_descriptor_in_order_and_a_gap_is_said() -> None:
    reading, writing = os.pipe()
    sink = LineSink(writing)
    for n in range(3):
        sink.write(f"line {n}")
    sink.close(5.0)
    sink.write("late")
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert stream.read() == "line 0\nline 1\nline 2\n"
    assert sink.dropped == 1


def test_the_session_takes_over_the_root_logger_and_gives_it_back() -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    reading, writing = os.pipe()
    session = LogSession(level="warning", descriptor=writing)
    logging.getLogger("pbx.test").info("not this")
    for _ in range(12):
        logging.getLogger("pbx.test").warning("this", extra={"tenant": "office.test", "password": "pass-1001"})
    session.tick(time.time() + 2.0)
    session.close()
    os.close(writing)
    with os.fdopen(reading) as stream:
        lines = stream.read().splitlines()
    assert len(lines) == 11 and all("pass-1001" not in line for line in lines)
    assert 'msg="2 more"' in lines[-1] and "site=pbx/test_logs.py:" in lines[-1]
    assert session.counters == {"log_lines_dropped": 0, "log_lines_left_out": 2}
    assert (root.level, root.handlers[:]) == before
