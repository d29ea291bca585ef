"""Makes tests/vectors/stores/vN.db.gz, a small store of the schema version of this checkout.

Run once when a schema version lands (`python -m tools.store_vector`), and commit the file; a file that is there
is never made again, because only the code of its day can make it.
"""

from __future__ import annotations

import gzip
import sqlite3
import sys
import tempfile
from pathlib import Path

from pbx import config
from pbx.cdr import Cause, CdrWriter, LegAnswered, LegEnded, LegMedia, LegStarted
from pbx.store import schema
from pbx.store.base import BindingRecord, LegName, SubscriptionRecord, TextRecord
from pbx.store.database import DATABASE_FILE
from pbx.store.sqlite import SqliteStore

STORES = Path(__file__).parents[1] / "tests" / "vectors" / "stores"
BEGIN = 1_800_000_000.0
DOMAIN = "office.test"
TENANT = f"""
[[tenant]]
domain = "{DOMAIN}"
[tenant.features]
echo = "*43"
[tenant.extensions]
1001 = {{ password = "store-vector-1", name = "Zoë", max_calls = 3 }}
1002 = "store-vector-2"
"""


def counting_bytes(count: int) -> bytes:
    """Stands for entropy: the key and the nonces of the files are known."""
    return bytes(range(count))


def fill(store: SqliteStore) -> None:
    """A tenant, a binding, a subscription, a text message, an answered call of two legs, and a call under way."""
    store.save_tenants(config.parse(TENANT, environ={}).tenants)
    fields = {"call_id": "c1", "cseq": 7, "user_agent": "phone \udcff"}
    store.tenant(DOMAIN).save_binding(BindingRecord("sip:1001@office.test", "k", "<sip:1001@x>", BEGIN + 60, fields))
    store.tenant(DOMAIN).save_text(TextRecord("t1", "1002", "1001", BEGIN, 5, "waiting"), "hello")
    watch = {"watcher": "1002", "package": "dialog", "user": "1001"}
    store.tenant(DOMAIN).save_subscription(SubscriptionRecord("s1", BEGIN + 60, watch))
    writer = CdrWriter(store)
    legs: tuple[tuple[str, str, LegName], ...] = (("a1", "a1", "a"), ("b1", "a1", "b"), ("up", "up", "a"))
    for leg_id, linked_id, leg in legs:
        writer.started(LegStarted(leg_id, linked_id, DOMAIN, leg, "internal", "1001", "1002", f"{leg_id}@x", BEGIN))
        writer.answered(LegAnswered(leg_id, BEGIN + 2, "PCMU"))
    for leg_id in ("a1", "b1"):
        media = LegMedia("PCMU", 500, 0.01, 1.5, mos=4.1)
        writer.ended(LegEnded(leg_id, BEGIN + 12, "answered", "caller", Cause(200, 16, "VP-1000"), media))


def main() -> int:
    """Make the file of the newest version unless it is there."""
    target = STORES / f"v{schema.VERSION}.db.gz"
    if target.exists():
        print(f"{target} is there; it is never made again")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder), wallclock=lambda: BEGIN + 30, random_bytes=counting_bytes)
        fill(store)
        store.close()
        path = Path(folder) / DATABASE_FILE
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()
        target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
