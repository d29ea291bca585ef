"""A store made by any earlier voipat opens in this one, with everything in it."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pbx import config
from pbx.cdr import calls
from pbx.store import migrations, schema
from pbx.store.base import CdrFilter
from pbx.store.database import DATABASE_FILE, writing_engine
from pbx.store.sqlite import KEY_FILE, SqliteStore
from tools.store_vector import BEGIN, DOMAIN, STORES, TENANT, counting_bytes

VERSIONS = range(1, schema.VERSION + 1)


def unpack(version: int, directory: Path) -> None:
    (directory / DATABASE_FILE).write_bytes(gzip.decompress((STORES / f"v{version}.db.gz").read_bytes()))
    key = directory / KEY_FILE
    key.touch(mode=0o600)
    key.write_bytes(counting_bytes(32))


def layout(path: Path) -> dict[str, object]:
    """Every column and index, by table."""
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, object] = {}
    for table in tables:
        indexes = [row[1:] for row in connection.execute(f"PRAGMA index_list({table})")]
        columns = [tuple(connection.execute(f"PRAGMA index_info({name})")) for name, *_ in indexes]
        found[table] = (
            sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({table})")),
            sorted(zip(indexes, columns, strict=True)),
        )
    connection.close()
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_each_version_opens_with_all_that_is_in_it(version: int, tmp_path: Path) -> None:
    unpack(version, tmp_path)
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN + 500)
    assert store.opening.moved_aside is None
    assert store.opening.interrupted == 1
    assert store.load_tenants() == config.parse(TENANT, environ={}).tenants
    (binding,) = store.tenant(DOMAIN).load_bindings()
    assert binding.fields["user_agent"] == "phone \udcff"
    texts = store.tenant(DOMAIN).load_texts()
    assert [store.tenant(DOMAIN).text(each.id) for each in texts] == (["hello"] if version >= 9 else [])
    watchers = [each.fields["watcher"] for each in store.tenant(DOMAIN).load_subscriptions()]
    assert watchers == (["1002"] if version >= 10 else [])
    interrupted, answered = calls(store, CdrFilter())
    assert (interrupted.disposition, interrupted.billable_s) == ("interrupted", 28.0)
    assert (answered.disposition, answered.billable_s, answered.attempts) == ("answered", 10.0, 1)
    store.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migrated_store_has_the_layout_of_a_new_one(version: int, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    unpack(version, old)
    for directory in (old, new):
        SqliteStore.open(directory, wallclock=lambda: BEGIN).close()
    assert layout(old / DATABASE_FILE) == layout(new / DATABASE_FILE)


def test_there_is_a_step_from_every_version_to_the_next() -> None:
    assert sorted(migrations.STEPS) == list(range(1, schema.VERSION))


def test_steps_run_in_order_and_a_failing_one_takes_all_back(tmp_path: Path) -> None:
    unpack(1, tmp_path)
    engine = writing_engine(tmp_path / DATABASE_FILE)

    def add_column(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE tenants ADD COLUMN note TEXT")

    def use_column(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE tenants SET note = 'x'")

    def fail(connection: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        migrations.migrate(connection, 1, steps={1: add_column, 2: use_column, 3: fail})
    with engine.begin() as connection:
        assert migrations.migrate(connection, 1, steps={1: add_column, 2: use_column}) == 3
    engine.dispose()
    after = sqlite3.connect(tmp_path / DATABASE_FILE)
    assert after.execute("SELECT note FROM tenants").fetchone() == ("x",)
    assert after.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("3",)
    after.close()
