"""The embedded store: what is put in is there after a restart, for its tenant alone."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbx import config, retention
from pbx.cdr import CdrWriter, LegAnswered, LegEnded, LegStarted
from pbx.errors import ConfigError, DataDirectoryError, SecretError, StoreClosedError
from pbx.retention import DAY_S, RetentionClass, RetentionPolicy
from pbx.store import schema
from pbx.store.base import AuditRecord, BindingRecord, CdrFilter, MailRecord, TextRecord
from pbx.store.cdr_queries import OF_TENANTS
from pbx.store.database import DATABASE_FILE
from pbx.store.sqlite import KEY_FILE, SqliteStore, StoreReader

BEGIN = 1_800_000_000.0
Opener = Callable[[], SqliteStore]


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the store, closing it first when it is open: a restart."""
    opened: list[SqliteStore] = []

    def reopen() -> SqliteStore:
        if opened:
            opened.pop().close()
        opened.append(SqliteStore.open(tmp_path, wallclock=lambda: BEGIN + 100))
        return opened[0]

    yield reopen
    opened.pop().close()


def binding(user: str = "1001", *, key: str = "k", expires_at: float = BEGIN) -> BindingRecord:
    fields = {"call_id": "c", "cseq": 7, "q": 0.5, "path": ["<sip:proxy;lr>"], "user_agent": "bytes \udcff"}
    return BindingRecord(f"sip:{user}@office.test", key, f"<sip:{user}@127.0.0.1:5062>", expires_at, fields)


def test_bindings_are_back_after_a_restart(reopened: Opener) -> None:
    tenant = reopened().tenant("office.test")
    kept, removed = binding(), binding(key="other")
    for each in (kept, removed, binding("1002")):
        assert tenant.save_binding(each)
    assert tenant.remove_binding(removed.aor, removed.key)
    tenant = reopened().tenant("office.test")
    assert tenant.load_bindings() == [kept, binding("1002")]
    assert tenant.count_bindings() == 2
    tenant.save_binding(kept._replace(expires_at=BEGIN + 60))
    tenant.remove_binding(binding("1002").aor, "k")
    assert reopened().tenant("office.test").load_bindings() == [kept._replace(expires_at=BEGIN + 60)]


def test_bindings_are_the_tenants_own(reopened: Opener) -> None:
    store = reopened()
    store.tenant("office.test").save_binding(binding())
    store.tenant("shop.test").remove_binding(binding().aor, "k")
    assert store.flush()
    assert store.tenant("shop.test").load_bindings() == []
    assert len(store.tenant("office.test").load_bindings()) == 1
    assert store.domains() == ["office.test"]


def test_whoever_left_anything_is_a_domain_so_that_retention_finds_it(reopened: Opener) -> None:
    store = reopened()
    rows = {
        "forward.test": store.tenant("forward.test").save_state("1001", "forward.always", "+12025550177"),
        "text.test": store.tenant("text.test").save_text(TextRecord("a", "1", "2", 1.0, 1, "waiting"), "x"),
        "mail.test": store.tenant("mail.test").save_mail(MailRecord("a", "1001", 1.0, 0, 1.0, "")),
        "audit.test": store.tenant("audit.test").save_audit(AuditRecord("a", 1.0, "operator", "deleted", "x", True)),
    }
    assert all(rows.values()) and store.tenant("over.test").save_state("tenant", "gone_since", "1.0")
    assert store.flush()
    assert store.domains() == sorted(rows)


def test_every_table_of_tenants_is_one_that_retention_looks_into() -> None:
    of_tenants = {table for table in schema.metadata.tables.values() if "tenant" in table.c}
    assert of_tenants == {schema.tenants, schema.extensions, schema.tenant_state, *OF_TENANTS}


def test_text_messages_are_sealed_and_of_their_tenant(reopened: Opener, tmp_path: Path) -> None:
    tenant = reopened().tenant("office.test")
    first = TextRecord("a", "1002", "1001", BEGIN + 1, 16, "waiting")
    second = TextRecord("b", "1002", "1003", BEGIN, 5, "waiting")
    assert tenant.save_text(first, "meet me at seven") and tenant.save_text(second, "never")
    assert tenant.save_text(first._replace(state="sending"), "meet me at seven")
    store = reopened()
    tenant = store.tenant("office.test")
    assert tenant.load_texts() == [second, first._replace(state="sending")]
    assert (tenant.text("a"), tenant.text("c"), store.tenant("shop.test").text("a")) == ("meet me at seven", None, None)
    assert b"meet me at seven" not in (tmp_path / DATABASE_FILE).read_bytes()
    with sqlite3.connect(tmp_path / DATABASE_FILE) as other:
        other.execute("UPDATE waiting_messages SET sealed = (SELECT sealed FROM waiting_messages WHERE id = 'b')")
    with pytest.raises(SecretError):
        tenant.text("a")
    assert tenant.remove_text("a")
    assert reopened().tenant("office.test").load_texts() == [second]


def test_open_legs_are_closed_as_interrupted_at_the_last_time_known(tmp_path: Path) -> None:
    clock = [BEGIN]
    store = SqliteStore.open(tmp_path, wallclock=lambda: clock[0])
    writer = CdrWriter(store)
    for leg_id in ("ringing", "talking", "over"):
        writer.started(LegStarted(leg_id, leg_id, "office.test", "a", "internal", "1001", "1002", leg_id, BEGIN))
    for leg_id in ("talking", "over"):
        writer.answered(LegAnswered(leg_id, BEGIN + 2, "PCMU"))
    writer.ended(LegEnded("over", BEGIN + 3, "answered", "caller"))
    clock[0] = BEGIN + 30
    writer.tick(BEGIN + 30, 30.0)
    store.close()
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN + 500)
    assert store.opening.interrupted == 2
    legs = {leg.id: leg for leg in store.tenant("office.test").legs(CdrFilter())}
    store.close()
    talking, ringing = legs["talking"], legs["ringing"]
    assert (talking.disposition, talking.ended, talking.duration_s, talking.billable_s) == (
        "interrupted",
        BEGIN + 30,
        30.0,
        28.0,
    )
    assert (talking.hangup_by, talking.cause_q850) == ("system", 41)
    assert (ringing.disposition, ringing.ended, ringing.billable_s) == ("interrupted", BEGIN + 30, 0.0)
    assert legs["over"].disposition == "answered"


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_an_interrupted_call_is_billed_for_what_it_lasted_when_the_clock_was_set_meanwhile(
    tmp_path: Path, by: float
) -> None:
    monotonic, ahead = [100.0], [BEGIN - 100.0]

    def wallclock() -> float:
        return monotonic[0] + ahead[0]

    store = SqliteStore.open(tmp_path, wallclock=wallclock)
    writer = CdrWriter(store)

    def passes(seconds: int) -> None:
        for _ in range(seconds):
            monotonic[0] += 1.0
            writer.tick(wallclock(), monotonic[0])

    def begins(leg_id: str) -> None:
        writer.started(LegStarted(leg_id, leg_id, "office.test", "a", "internal", "1001", "1002", leg_id, wallclock()))

    begins("before")
    begins("answered after")
    passes(2)
    writer.answered(LegAnswered("before", wallclock(), "PCMU"))
    passes(10)
    ahead[0] += by
    passes(5)
    writer.answered(LegAnswered("answered after", wallclock(), "PCMU"))
    begins("after")
    writer.answered(LegAnswered("after", wallclock(), "PCMU"))
    passes(5)
    ahead[0] -= by / 2
    passes(20)
    store.close()
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN + 9000)
    legs = {leg.id: leg for leg in store.tenant("office.test").legs(CdrFilter())}
    store.close()
    lasted = {name: (round(leg.duration_s or 0), round(leg.billable_s or 0)) for name, leg in legs.items()}
    # The second in which it is set is counted or not.
    for name, (duration, billable) in {"before": (42, 40), "answered after": (42, 25), "after": (25, 25)}.items():
        assert duration - 2 <= lasted[name][0] <= duration + 2
        assert billable - 2 <= lasted[name][1] <= billable + 2


def test_no_call_up_means_no_tick(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    CdrWriter(store).tick(BEGIN, 0.0)
    assert store.health().pending == 0
    store.close()


TENANTS = """\
[[tenant]]
domain = "office.test"
[tenant.features]
echo = "*43"
[tenant.extensions]
1001 = { password = "secret-1", name = "Zoë", max_calls = 3, ring_s = 12 }
1002 = "secret-2"
[[tenant]]
domain = "another.test"
"""


def test_tenants_are_saved_by_difference_and_come_back(reopened: Opener) -> None:
    tenants = config.parse(TENANTS, environ={}).tenants
    changes = reopened().save_tenants(tenants)
    assert changes.added == (
        "office.test", "office.test/features", "another.test", "office.test/1001", "office.test/1002"
    )  # fmt: skip
    assert not reopened().save_tenants(tenants)
    assert reopened().load_tenants() == tenants
    changed = TENANTS.replace("secret-2", "secret-3").replace("another.test", "third.test")
    tenants = config.parse(changed, environ={}).tenants
    changes = reopened().save_tenants(tenants)
    assert (changes.added, changes.changed) == (("third.test",), ("office.test/1002",))
    assert changes.removed == ("another.test",)
    assert reopened().load_tenants() == tenants
    assert reopened().save_tenants([]).removed == (
        "office.test", "office.test/features", "third.test", "office.test/1001", "office.test/1002"
    )  # fmt: skip


def test_no_secret_is_readable_in_the_data_directory(tmp_path: Path, reopened: Opener) -> None:
    tenants = config.parse(TENANTS, environ={}).tenants
    store = reopened()
    store.save_tenants(tenants)
    assert store.flush()
    hashes = [value for extension in tenants[0].extensions.values() for _, value in extension.ha1]
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert not [secret for secret in ("secret-1", "secret-2", *hashes) if secret.encode() in content]


def test_a_lost_key_is_told_and_the_configuration_seals_anew(tmp_path: Path, reopened: Opener) -> None:
    tenants = config.parse(TENANTS, environ={}).tenants
    store = reopened()
    store.save_tenants(tenants)
    (tmp_path / KEY_FILE).unlink()
    store = reopened()
    with pytest.raises(SecretError):
        store.load_tenants()
    assert store.save_tenants(tenants).changed == ("office.test/1001", "office.test/1002")
    assert reopened().load_tenants() == tenants


def test_files_are_for_their_owner_alone(tmp_path: Path, reopened: Opener) -> None:
    store = reopened()
    store.tenant("office.test").save_binding(binding())
    assert store.flush()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


def test_every_table_has_a_retention_class() -> None:
    for table in schema.metadata.sorted_tables:
        assert isinstance(table.info.get("retention"), RetentionClass), table.name


def test_the_sweep_removes_what_is_over_in_slices(tmp_path: Path) -> None:
    now = BEGIN + 400 * DAY_S
    store = SqliteStore.open(tmp_path, wallclock=lambda: now)
    writer = CdrWriter(store)
    for tenant in ("office.test", "shop.test"):
        for days in (364, 366, 367):
            leg_id = f"{tenant}-{days}"
            start = now - days * DAY_S
            writer.started(LegStarted(leg_id, leg_id, tenant, "a", "internal", "1", "2", leg_id, start))
            writer.ended(LegEnded(leg_id, start + 60, "answered"))
        store.tenant(tenant).save_binding(binding(expires_at=now - 1))
        store.tenant(tenant).save_binding(binding("1002", expires_at=now + 1))
    assert store.flush()
    slices: list[retention.SweepReport] = []
    while not slices or slices[-1].more:
        slices.append(retention.sweep(store, RetentionPolicy(), now, rows=3))
    assert [(each.cdrs, each.bindings) for each in slices] == [(3, 2), (1, 0)]
    for tenant in ("office.test", "shop.test"):
        assert [leg.id for leg in store.tenant(tenant).legs(CdrFilter())] == [f"{tenant}-364"]
        assert [each.aor for each in store.tenant(tenant).load_bindings()] == ["sip:1002@office.test"]
    store.close()


def test_the_configuration_says_how_long_cdrs_are_kept(tmp_path: Path) -> None:
    """A tenant's own days win, and of a tenant that is gone nothing is kept."""
    text = """
    [server.retention]
    cdr_days = 10
    [[tenant]]
    domain = "office.test"
    [tenant.limits]
    cdr_days = 20
    [[tenant]]
    domain = "shop.test"
    """
    loaded = config.parse(text, environ={"HOME": "/"})
    now = BEGIN + 400 * DAY_S
    store = SqliteStore.open(tmp_path, wallclock=lambda: now)
    writer = CdrWriter(store)
    for tenant in ("office.test", "shop.test", "gone.test"):
        for days in (1, 9, 11, 19, 21):
            leg_id = f"{tenant}-{days}"
            start = now - days * DAY_S
            writer.started(LegStarted(leg_id, leg_id, tenant, "a", "internal", "1", "2", leg_id, start))
            writer.ended(LegEnded(leg_id, start + 60, "answered"))
    assert store.flush()
    policy = retention.policy_of(loaded.server.retention, loaded.tenants, ["gone.test"])
    while retention.sweep(store, policy, now).more:
        pass
    kept = {tenant: len(list(store.tenant(tenant).legs(CdrFilter()))) for tenant in ("office.test", "shop.test")}
    assert kept == {"office.test": 4, "shop.test": 2} and list(store.tenant("gone.test").legs(CdrFilter())) == []
    store.close()


@pytest.mark.parametrize("text", ["cdr_days = 0", "audit_days = 40000"])
def test_days_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give a whole number from 1 to 36500"):
        config.parse(f"[server.retention]\n{text}\n", environ={"HOME": "/"})


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert store.close()
    assert store.close()
    with pytest.raises(StoreClosedError):
        store.save_tenants([])
    assert not store.tenant("office.test").save_binding(binding())


def test_a_reader_works_beside_the_daemon_and_without_it(tmp_path: Path, reopened: Opener) -> None:
    with pytest.raises(DataDirectoryError, match=r"there is no voipat\.db"):
        StoreReader(tmp_path)
    store = reopened()
    store.tenant("office.test").save_binding(binding())
    assert store.flush()
    with StoreReader(tmp_path) as reader:
        assert reader.tenant("office.test").load_bindings() == [binding()]
    store.close()
    assert {path.name for path in tmp_path.iterdir()} == {"voipat.db", "voipat.lock", "secrets.key", "cdrs.spool"}
    with StoreReader(tmp_path) as reader:
        assert reader.tenant("office.test").load_bindings() == [binding()]


def test_a_reader_cannot_write(tmp_path: Path, reopened: Opener) -> None:
    reopened()
    with StoreReader(tmp_path) as reader, pytest.raises(Exception, match="readonly"):
        reader.read(lambda connection: connection.exec_driver_sql("DELETE FROM meta"))


def test_commits_survive_a_power_cut(tmp_path: Path, reopened: Opener) -> None:
    store = reopened()
    settings = store._do(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        ]
    )
    assert settings == ["wal", 2]
    with sqlite3.connect(tmp_path / "voipat.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
