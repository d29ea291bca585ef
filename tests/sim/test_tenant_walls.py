"""H12, generated: kinds of objects × verbs × entries. Nothing of another tenant is seen, called or changed.

The two tenants have the same numbers. Entries: SIP (a phone of the one dials and asks), the command line's verbs with
the other tenant's name, and the objects that flows and programs are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pbx import config
from pbx.audit import Audit
from pbx.control import ControlError
from pbx.directory import Directory
from pbx.export import toml_of
from pbx.object_commands import object_rows
from pbx.objects.features import WITH_NUMBER
from pbx.objects_shown import KIND_NAMES, diff, list_rows, with_key
from pbx.services_shown import desk_rows, log_out
from pbx.tenants import TenantConfig
from pbx.trace import trace_rows
from pbx.voicemail.operator import voicemail_rows
from pbx.voicemail.outbox import Outbox
from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.voicemail_office import VoicemailOffice
from voipat import MediaError
from voipat.testing import PhoneCall

SHOP = "shop.test"
# The kinds that the example has none of.
MORE = """
[[tenant.announcement]]
number = "830"
prompt = "welcome"

[[tenant.program]]
number = "840"
file = "/etc/voipat/hello.py"

[[tenant.class]]
name = "staff"

[tenant.screening]
anonymous = "reject"

[tenant.limits]
max_calls = 100

[tenant.monitoring]
announcement = "none"

"""
FIRST = EXAMPLE[EXAMPLE.index("[[tenant]]") : EXAMPLE.index("# A second tenant")] + MORE
# The same objects again; a trunk is known by its address, and a DID has one owner.
SECOND = (
    FIRST.replace(DOMAIN, SHOP)
    .replace("pass-", "shop-")
    .replace("127.0.0.1:5090", "127.0.0.1:5091")
    .replace("+120255501", "+131055501")
)
TEXT = EXAMPLE[: EXAMPLE.index("# A second tenant")] + MORE + SECOND


@contextmanager
def two(data: Path) -> Iterator[VoicemailOffice]:
    with VoicemailOffice(data, text=TEXT) as office:
        yield office


def office_events(office: VoicemailOffice) -> list[object]:
    """What has happened in the other tenant."""
    return [event for event in office.told if getattr(event, "tenant", SHOP) == DOMAIN]


def numbers() -> list[str]:
    """Everything that can be dialled in the other tenant: each object, each code, with a number and without."""
    tenant = config.parse(TEXT, environ={}).tenants[0]
    codes = [code + "1002" if name in WITH_NUMBER else code for name, code in tenant.features.dialled.items()]
    objects = [number for number, kind in tenant.plan.numbers() if kind != "park slot"]
    return ["1001", "1002", "1010", *objects, "801", *codes, "92025550123", *tenant.plan.emergency.numbers]


@pytest.mark.parametrize("number", numbers())
def test_sip_every_number_of_the_other_is_nobody(number: str, tmp_path: Path) -> None:
    with two(tmp_path) as office:
        victim, ringing, asker = office.phone(1002), office.phone(1003), office.phone(1003, SHOP)
        victim.rings()
        waits = ringing.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        before, seen = len(office_events(office)), len(victim.received)
        call = asker.dial(f"sip:{number}@{DOMAIN}")
        office.world.run(until=office.world.now + 3.0)
        assert (call.status, call.warning_ids) == (404, ["VP-3001"]), "as of a number that nobody has"
        assert len(office_events(office)) == before and len(victim.received) == seen
        assert not list(office.state.tenant(DOMAIN).entries())
        waits.give_up()
        office.run()


@pytest.mark.parametrize("verb", ["park", "conference", "pickup", "mailbox", "queue"])
def test_sip_the_same_number_leads_to_ones_own(verb: str, tmp_path: Path) -> None:
    with two(tmp_path) as office:
        ours, theirs = office.phone(1006), office.phone(1006, SHOP)
        target = {"park": "800", "conference": "700", "pickup": "**1002", "mailbox": "1001", "queue": "610"}[verb]
        if verb == "pickup":
            office.phone(1002).rings()
            ours.dial("1002")
            asker = office.phone(1003, SHOP)
        else:
            ours.dial(target).presses("#", after=0.5) if verb == "mailbox" else ours.dial(target)
            asker = theirs
        office.world.run(until=office.world.now + 6.0)
        reached = asker.dial(target)
        office.world.run(until=office.world.now + 3.0)
        desk = office.board.desk
        match verb:
            case "park":
                assert {parked.call.tenant for parked in desk.parking.parked(SHOP)} <= {SHOP}
                taken = office.phone(1007, SHOP).dial("801")
                office.world.run(until=office.world.now + 2.0)
                assert len(desk.parking.parked(DOMAIN)) == 1, "the other tenant's slot keeps its call"
                taken.hang_up() if not taken.is_over else None
            case "conference":
                assert {room.tenant for room in office.app.conferences} == {DOMAIN, SHOP}
                assert all(len(room.members) == 1 for room in office.app.conferences)
            case "pickup":
                assert not reached.was_answered or reached.is_over
            case "mailbox":
                assert office.boxes.messages(SHOP, "1001") == []
            case "queue":
                assert not reached.heard.hears(ours.tone)
        for call in office.world._calls:
            _end(call)
        office.run()


def _end(call: PhoneCall) -> None:
    if not call.is_over:
        call.hang_up() if call.was_answered else call.give_up()


class Book:
    """The tenants as the command line has them."""

    listen = ("udp://127.0.0.1:5060",)

    def __init__(self, office: VoicemailOffice) -> None:
        self.tenants: list[TenantConfig] = list(office.directory.current.tenants.values())
        self.state = office.state

    async def put(self, tenants: Any) -> None:
        self.tenants = list(tenants)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_command_line_lists_one_tenant_alone(kind: str, tmp_path: Path) -> None:
    with two(tmp_path) as office:
        book = Book(office)
        shown = list(list_rows(book.tenants, book.state, kind, SHOP))
        assert {row["tenant"] for row in shown} <= {SHOP}
        assert all(str(row["object"]).split("/")[0] == SHOP for row in shown)
        assert list(list_rows(book.tenants, book.state, kind, "nobody.test")) == []


CHANGES = [
    ("extension", "1002", "ring_s", "5"),
    ("menu", "menu/500", "tries", "1"),
    ("ring_group", "ring_group/600", "ring_s", "5"),
    ("queue", "queue/610", "ring_s", "5"),
    ("conference", "conference/701", "max_parties", "3"),
    ("park", "park/800", "timeout_s", "9"),
    ("times", "times/office", "override_s", "60"),
    ("did", "did/+13105550101", "target", "1002"),
    ("route", "route/outside", "strip", "0"),
    ("recording", "recording/1005", "announcement", "other"),
    ("page", "page/820", "answer_s", "2"),
    ("announcement", "announcement/830", "times", "2"),
    ("program", "program/840", "function", "other"),
    ("class", "class/staff", "premium", "true"),
    ("trunk", "trunk/carrier", "max_calls", "3"),
    ("emergency", "emergency", "caller_id", "+13105550100"),
    ("screening", "screening", "own_numbers", "reject"),
    ("limits", "limits", "international", "true"),
    ("monitoring", "monitoring", "announcement", "record-notice"),
    ("hot_desking", "hot_desking", "log_out_at", "21:00"),
    ("features", "features", "dnd_on", "*77"),
]


def test_every_kind_has_its_change() -> None:
    assert {each[0] for each in CHANGES} == set(KIND_NAMES) - {"tenant"}


@pytest.mark.parametrize(("kind", "name", "key", "value"), CHANGES, ids=[each[0] for each in CHANGES])
def test_command_line_a_change_touches_one_tenant_alone(kind: str, name: str, key: str, value: str) -> None:
    tenants = config.parse(TEXT, environ={}).tenants
    before = {tenant.domain: tenant for tenant in tenants}
    after = {tenant.domain: tenant for tenant in with_key(tenants, f"{SHOP}/{name}", key, value, ())}
    changes = diff(tenants, list(after.values()))
    assert changes.changed == (f"{SHOP}/{name}",) and not changes.added and not changes.removed
    assert list(toml_of([after[DOMAIN]])) == list(toml_of([before[DOMAIN]]))


@pytest.mark.parametrize("key", ["dnd=on", "forward.busy=1001", "forward.always=1001", "queue.paused=on"])
def test_command_line_what_is_set_by_hand_is_one_tenants(key: str, tmp_path: Path) -> None:
    with two(tmp_path) as office:
        name, _, value = key.partition("=")

        async def change() -> None:
            arguments = {"object": f"{SHOP}/1002", "key": name, "value": value}
            assert [row async for row in object_rows(Book(office), "set", arguments)]

        office.world.loop.run_until_complete(change())
        assert office.state.tenant(SHOP).get("1002", name) == value
        assert list(office.state.tenant(DOMAIN).entries()) == []


def test_command_line_exports_and_traces_one_tenant_alone(tmp_path: Path) -> None:
    with two(tmp_path) as office:
        office.phone(1006).dial("*43").hangs_up(after=1.0)
        office.run()
        book = Book(office)
        lines = "\n".join(toml_of([tenant for tenant in book.tenants if tenant.domain == SHOP]))
        assert DOMAIN not in lines and config.parse(lines, environ={}).tenants[0].domain == SHOP
        assert list(trace_rows(office.app.recorder, tenant=SHOP, limit=100)) == []
        assert len(list(trace_rows(office.app.recorder, tenant=DOMAIN, limit=100))) == 1


@pytest.mark.parametrize("verb", ["list", "show", "export", "delete", "find", "sound", "wav", "forward", "counts"])
def test_a_message_of_the_other_is_none(verb: str, tmp_path: Path) -> None:
    with two(tmp_path) as office:
        office.leave("1002", 2.0)
        (message,) = office.messages("1002")
        outbox = Outbox(
            *(office.rows, office.boxes, office.directory, lambda: None),  # type: ignore[arg-type]  # nothing is sent
            wallclock=office.world.wallclock,
            monotonic=office.world.loop.time,
            connect=lambda mail: None,  # type: ignore[arg-type,return-value]
        )

        audit = Audit(None, wallclock=office.world.wallclock, random_bytes=lambda count: bytes(count))

        async def rows(action: str) -> list[Any]:
            arguments = {"action": action, "id": message.id, "tenant": SHOP}
            return [row async for row in voicemail_rows(office.boxes, outbox, audit, arguments)]

        async def ask() -> None:
            match verb:
                case "list":
                    assert await rows("list") == []
                case "find":
                    assert office.boxes.find(SHOP, message.id) is None
                case "counts":
                    assert office.boxes.counts(SHOP, "1002") == (0, 0)
                case "sound":
                    with pytest.raises((MediaError, OSError)):
                        await office.boxes.sound(SHOP, message)
                case "wav":
                    with pytest.raises((MediaError, OSError)):
                        await asyncio.to_thread(office.boxes.wav, SHOP, message, most=1 << 30)
                case "forward":
                    with pytest.raises((MediaError, OSError)):
                        await office.boxes.forward(SHOP, message, "1001")
                case _:
                    with pytest.raises(ControlError):
                        await rows(verb)

        office.world.loop.run_until_complete(ask())
        assert office.messages("1002") == [message] and office.boxes.messages(SHOP, "1001") == []


def test_a_desk_of_the_other_is_none(tmp_path: Path) -> None:
    with two(tmp_path) as office:
        ours, theirs = office.phone(1007), office.phone(1007, SHOP)
        ours.dial("*111003").presses("1357#", after=1.0).waits(3.0).hangs_up()
        office.world.run(until=office.world.now + 8.0)
        desk = office.board.desk
        assert list(desk_rows(desk, SHOP)) == [] and log_out(desk, f"{SHOP}/1007") is None
        refused = theirs.dial("*12")
        office.phone(1006, SHOP).dial("1003").waits(3.0).hangs_up()
        office.run()
        assert refused.status == 480 and ours.received == []
        assert [row["person"] for row in desk_rows(desk, DOMAIN)] == ["1003"]


def test_the_directory_of_one_knows_nothing_of_the_other(tmp_path: Path) -> None:
    with two(tmp_path) as office:
        alone = Directory([office.directory.current.tenant(SHOP)])
        assert not alone.serves(DOMAIN) and alone.extension(DOMAIN, "1002") is None
        both = office.directory.current
        assert both.ha1(SHOP, "1002", "MD5") != both.ha1(DOMAIN, "1002", "MD5")
