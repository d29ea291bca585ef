"""What a reload says: what came, changed, went, and what waits for a restart."""

from __future__ import annotations

from pbx import config
from pbx.changes import reload_row

OFFICE = """\
[server]
data = "/tmp/x"
drain_s = 30
[[tenant]]
domain = "office.test"
[tenant.extensions]
1001 = "pass-1001"
1002 = "pass-1002"
"""


def row(before: str, after: str, *, applied: bool = True) -> object:
    return reload_row(config.parse(before), config.parse(after), applied=applied)


def test_nothing_changed_is_said_as_empty_lists() -> None:
    assert row(OFFICE, OFFICE) == {"applied": True, "added": [], "changed": [], "removed": [], "needs_restart": []}


def test_extensions_tenants_and_server_keys_are_told_apart() -> None:
    after = OFFICE.replace('1001 = "pass-1001"\n', '1003 = "pass-1003"\n').replace("drain_s = 30", "drain_s = 40")
    after = after.replace('1002 = "pass-1002"', '1002 = "another-one"') + '[[tenant]]\ndomain = "shop.test"\n'
    assert row(OFFICE, after, applied=False) == {
        "applied": False,
        "added": ["office.test/1003", "shop.test"],
        "changed": ["server.drain_s", "office.test/1002"],
        "removed": ["office.test/1001"],
        "needs_restart": [],
    }


def test_a_tenants_own_setting_does_not_count_as_a_change_of_its_extensions() -> None:
    coded = '[tenant.features]\necho = "*43"\n[tenant.extensions]'
    after = OFFICE.replace("[tenant.extensions]", f'language = "de"\n{coded}', 1)
    assert row(OFFICE, after) == {
        "applied": True,
        "added": ["office.test/features"],
        "changed": ["office.test"],
        "removed": [],
        "needs_restart": [],
    }


def test_what_cannot_change_under_way_is_named() -> None:
    after = OFFICE.replace("drain_s = 30", 'media = "127.0.0.1:30000-30999"\nlisten = ["udp://127.0.0.1:5090"]')
    answer = row(OFFICE, after)
    assert isinstance(answer, dict)
    assert answer["needs_restart"] == ["server.listen", "server.media"]
    assert answer["changed"] == []


def test_of_the_log_the_level_changes_under_way_and_the_format_waits() -> None:
    before = OFFICE + '[server.log]\nlevel = "info"\n'
    after = OFFICE + '[server.log]\nlevel = "debug"\nformat = "json"\n[server.guard]\nban = false\n'
    answer = row(before, after)
    assert isinstance(answer, dict)
    assert (answer["changed"], answer["needs_restart"]) == (["server.log"], ["server.guard", "server.log.format"])


def test_what_waits_for_a_restart_is_said_again_at_the_next_reload() -> None:
    started = config.parse(OFFICE)
    moved = config.parse(OFFICE.replace("drain_s = 30", 'media = "127.0.0.1:30000-30999"'))
    answer = reload_row(moved, moved, started=started, applied=True)
    assert (answer["needs_restart"], answer["changed"]) == (["server.media"], [])
