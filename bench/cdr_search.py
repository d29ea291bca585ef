"""CDRs among many: what a listing costs when the store has millions of legs.

    python -m bench.cdr_search 10000000 [DIRECTORY]    makes the store, unless DIRECTORY has it already

CPU of this process for each question, and of the whole command line; nothing is asserted.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pbx.store.base import CdrFilter, LegRecord
from pbx.store.database import DATABASE_FILE
from pbx.store.sqlite import SqliteStore

DOMAIN: Final = "office.test"
OTHERS: Final = ("shop.test", "bank.test", "club.test")
NOW: Final = 1_800_000_000.0
SPAN_S: Final = 365 * 86_400.0
EXTENSIONS: Final = 2000
DISPOSITIONS: Final = ("answered",) * 16 + ("busy", "no_answer", "cancelled", "failed")
RUNS: Final = 5

_DAY: Final = NOW - 86_400.0
QUESTIONS: Final[dict[str, CdrFilter]] = {
    "newest 100": CdrFilter(limit=100),
    "last day, 100": CdrFilter(since=_DAY, limit=100),
    "last day, 10,000": CdrFilter(since=_DAY, limit=10_000),
    "one caller, 100": CdrFilter(caller="1042", limit=100),
    "one callee in a week half a year ago": CdrFilter(
        callee="1042", since=NOW - SPAN_S / 2, until=NOW - SPAN_S / 2 + 7 * 86_400, limit=1000
    ),
    "failed calls, 100": CdrFilter(disposition="failed", limit=100),
    "a caller who never called": CdrFilter(caller="4711", limit=100),
    "a page in the middle": CdrFilter(before=(NOW - SPAN_S / 2, ""), limit=100),
}


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Two legs a call, oldest first."""
    dice = random.Random(7)
    fields = LegRecord._fields
    for number in range(count // 2):
        started = NOW - SPAN_S + SPAN_S * number / (count // 2)
        tenant = DOMAIN if number % 4 else OTHERS[number // 4 % 3]
        caller, callee = (str(1000 + dice.randrange(EXTENSIONS)) for _ in range(2))
        disposition = dice.choice(DISPOSITIONS)
        answered = started + 4.0 if disposition == "answered" else None
        first = f"{number:032x}"
        for leg, identifier in (("a", first), ("b", f"b{number:031x}")):
            values = {
                "id": identifier, "linked_id": first, "tenant": tenant, "leg": leg, "direction": "internal",
                "caller": caller, "callee": callee, "started": started, "call_id": f"{identifier}@10.0.0.1",
                "answered": answered, "ended": started + 64.0, "duration_s": 64.0,
                "billable_s": 60.0 if answered else 0.0, "disposition": disposition, "hangup_by": "caller",
                "cause_sip": 200, "cause_q850": 16, "cause_id": "VP-4001", "codec": "PCMU", "packets": 3000,
                "loss": 0.0, "jitter": 1.5, "mos": 4.3,
            }  # fmt: skip
            yield tuple(values.get(name) for name in fields)


def fill(directory: Path, count: int) -> None:
    """The rows in one go, the indexes after them."""
    SqliteStore.open(directory, wallclock=lambda: NOW).close()
    connection = sqlite3.connect(directory / DATABASE_FILE)
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'cdrs' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    columns = ", ".join(LegRecord._fields)
    places = ", ".join("?" * len(LegRecord._fields))
    connection.executemany(f"INSERT INTO cdrs ({columns}) VALUES ({places})", rows(count))
    for _, sql in indexes:
        connection.execute(sql)
    connection.commit()
    connection.close()


def cpu_ms(ask: Callable[[], object]) -> list[float]:
    """CPU of this thread, the first time left out."""
    found = []
    for _ in range(RUNS + 1):
        started = time.thread_time()
        ask()
        found.append((time.thread_time() - started) * 1e3)
    return found[1:]


def command_line(directory: Path) -> float:
    """Seconds of CPU of `voipat cdr --since …`, the start of the interpreter included."""
    since = time.strftime("%Y-%m-%d", time.gmtime(_DAY))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pbx", "cdr", "--since", since, "--tenant", DOMAIN, "--data", str(directory)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as made:
        directory = Path(sys.argv[2] if len(sys.argv) > 2 else made)
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / DATABASE_FILE).exists():
            fill(directory, count)
        store = SqliteStore.open(directory, wallclock=lambda: NOW)
        tenant = store.tenant(DOMAIN)
        for name, wanted in QUESTIONS.items():
            for kind, ask in (("calls", tenant.calls), ("legs", tenant.legs)):
                values = cpu_ms(lambda ask=ask, wanted=wanted: ask(wanted))  # type: ignore[misc]
                found = len(ask(wanted))
                row = {"name": f"{kind}: {name}", "unit": "ms of CPU", "value": statistics.median(values)}
                print(json.dumps({**row, "rows": found, "legs": count}), flush=True)
        store.close()
        seconds = statistics.median(command_line(directory) for _ in range(3))
        print(json.dumps({"name": "voipat cdr --since, last day", "unit": "s of CPU", "value": seconds}), flush=True)


if __name__ == "__main__":
    main()
