"""The store: cost of a CDR and of a binding, how soon an answer is durable, loading bindings, starting big."""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pbx import config
from pbx.cdr import Cause, CdrWriter, LegAnswered, LegEnded, LegMedia, LegStarted
from pbx.directory import Directory
from pbx.store.base import BindingRecord
from pbx.store.sqlite import SqliteStore

LEGS = 10_000
BINDINGS = 100_000
EXTENSIONS = 10_000
ANSWERS = 40
RUNS = 3
DOMAIN = "office.test"


@contextmanager
def fresh_store() -> Iterator[tuple[Path, SqliteStore]]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder), wallclock=time.time)
        yield Path(folder), store
        store.close(60)


def start(writer: CdrWriter, leg_id: str) -> None:
    writer.started(LegStarted(leg_id, leg_id, DOMAIN, "a", "internal", "1001", "1002", f"{leg_id}@host", time.time()))


def end(writer: CdrWriter, leg_id: str) -> None:
    media = LegMedia("PCMU", 500, 0.0, 1.5)
    writer.ended(LegEnded(leg_id, time.time(), "answered", "caller", Cause(200, 16), media))


def legs() -> dict[str, float]:
    """Each leg is written three times, as a call longer than the group commit is."""
    with fresh_store() as (_, store):
        writer = CdrWriter(store)
        names = [f"{number:032x}" for number in range(LEGS)]
        began, cpu, loop = time.perf_counter(), time.process_time(), 0.0
        verbs: tuple[Callable[[str], None], ...] = (
            lambda name: start(writer, name),
            lambda name: writer.answered(LegAnswered(name, time.time(), "PCMU")),
            lambda name: end(writer, name),
        )
        for verb in verbs:
            thread = time.thread_time()
            for name in names:
                verb(name)
            loop += time.thread_time() - thread
            assert store.flush(60)
        wall = time.perf_counter() - began
        return {
            "CDR, CPU of the event loop per leg/µs": loop / LEGS * 1e6,
            "CDR, CPU of the process per leg/µs": (time.process_time() - cpu) / LEGS * 1e6,
            "durable CDRs/legs/s": LEGS / wall,
        }


def durability() -> dict[str, float]:
    """From the answer to the row in another connection's view, one call at a time."""
    waits = []
    with fresh_store() as (folder, store):
        writer = CdrWriter(store)
        reader = sqlite3.connect(folder / "voipat.db")
        for number in range(ANSWERS):
            start(writer, str(number))
            assert store.flush(10)
            answered = time.perf_counter()
            writer.answered(LegAnswered(str(number), time.time(), "PCMU"))
            while reader.execute("SELECT answered FROM cdrs WHERE id = ?", [str(number)]).fetchone() == (None,):
                time.sleep(0.001)
            waits.append((time.perf_counter() - answered) * 1e3)
        reader.close()
    return {"answer to durable row, median/ms": statistics.median(waits), "the same, worst/ms": max(waits)}


def bindings() -> dict[str, float]:
    fields = {"call_id": "c" * 32, "cseq": 1, "received": "127.0.0.1:5062", "transport": "UDP", "user_agent": "phone/1"}
    with fresh_store() as (_, store):
        tenant = store.tenant(DOMAIN)
        cpu = time.process_time()
        for number in range(BINDINGS):
            contact = f"<sip:{number}@127.0.0.1:5062>"
            tenant.save_binding(BindingRecord(f"sip:{number}@{DOMAIN}", contact, contact, time.time() + 3600, fields))
            if number % 10_000 == 0:
                assert store.flush(60)
        assert store.flush(60)
        cpu = time.process_time() - cpu
        began = time.perf_counter()
        assert len(tenant.load_bindings()) == BINDINGS
        return {
            "binding saved, CPU/µs": cpu / BINDINGS * 1e6,
            f"{BINDINGS} bindings loaded/s": time.perf_counter() - began,
        }


def big_start() -> dict[str, float]:
    entries = (f'{number} = "secret-{number}"' for number in range(10_000, 10_000 + EXTENSIONS))
    text = "\n".join(['[[tenant]]\ndomain = "office.test"\n[tenant.extensions]', *entries])
    with fresh_store() as (_, store):
        store.save_tenants(config.parse(text).tenants)
        began = time.perf_counter()
        tenants = config.parse(text).tenants
        assert not store.save_tenants(tenants)
        Directory(tenants)
        return {f"{EXTENSIONS} extensions read and found unchanged/s": time.perf_counter() - began}


def main() -> None:
    for part in (legs, durability, bindings, big_start):
        runs = [part() for _ in range(RUNS)]
        for key in runs[0]:
            name, _, unit = key.partition("/")
            values = [run[key] for run in runs]
            row = {"name": name, "unit": unit, "value": statistics.median(values), "runs": values}
            print(json.dumps({**row, "note": part.__name__}), flush=True)


if __name__ == "__main__":
    main()
