"""H12 at the entries that the code itself enumerates: commands of the daemon, methods of SIP, what flows are given.

A command, a method or a service that comes later is here without anybody thinking of it, or fails here.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pbx import config
from pbx.audit import Audit
from pbx.cdr import CdrWriter
from pbx.cli_parser import build_parser
from pbx.commands import commands_of
from pbx.hot_desks import HotDesks
from pbx.parking import Parking
from pbx.persistence import CdrListener
from pbx.queues import Queues
from pbx.recordings import Recordings
from pbx.running import Answers
from pbx.store.base import TextRecord
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.outbox import Outbox
from pbx.waiting_messages import WaitingMessages
from sipcore.message import Request
from sipcore.names import METHODS
from tests.sim.plan_office import DOMAIN
from tests.sim.recording_office import Tapes
from tests.sim.test_tenant_walls import SHOP, TEXT
from tests.sim.voicemail_office import VoicemailOffice
from voipat.testing import PhoneCall

# These are the operator's and concern the server or one thing that is named; test_tenant_walls has `show` and `set`.
OF_THE_SERVER = {"stats", "bans", "reload", "drain", "hangup", "show", "set", "apply"}
# What a command needs to answer at all.
ARGUMENTS: dict[str, dict[str, object]] = {
    "voicemail": {"action": "list"},
    "recordings": {"do": "list"},
    "messages": {"action": "list"},
    "list": {"kind": "extension"},
    "route": {"number": "1002", "from": "1003"},
    "call": {"caller": "1006", "target": "1002", "timeout": 1},
}
CALLING = {"call"}
# What the methods want to have.
ASKED = (("Event", "dialog"), ("Refer-To", f"<sip:1001@{DOMAIN}>"), ("RAck", "1 1 INVITE"))


class Running(Answers):
    """The answers of a daemon whose parts are the office's."""

    def __init__(self, office: VoicemailOffice, tapes: Tapes) -> None:
        super().__init__(config.parse(TEXT, environ={}), None, monotonic=office.world.loop.time)  # type: ignore[arg-type]
        audit = Audit(tapes.store, wallclock=office.world.wallclock, random_bytes=lambda count: bytes(count))
        outbox = Outbox(
            *(office.rows, office.boxes, office.directory, lambda: None),  # type: ignore[arg-type]  # nothing is sent
            wallclock=office.world.wallclock,
            monotonic=office.world.loop.time,
            connect=lambda mail: None,  # type: ignore[arg-type,return-value]
        )
        waiting = WaitingMessages(
            tapes.store, office.directory, wallclock=office.world.wallclock, random_bytes=lambda count: bytes(count)
        )
        waiting.recover([DOMAIN, SHOP])
        registrar = office.app.registrar
        assert registrar is not None
        self._parts: Any = SimpleNamespace(
            app=office.app, board=office.board, directory=office.directory, state=office.state, trunks=office.trunks,
            registrar=registrar, location=registrar.location, recorder=office.app.recorder, store=tapes.store,
            recordings=tapes.recordings, mailboxes=office.boxes, outbox=outbox, audit=audit, waiting=waiting,
        )  # fmt: skip


@contextmanager
def busy(folder: Path) -> Iterator[tuple[VoicemailOffice, Running]]:
    """Everything goes on in the one tenant that a command can show, and nothing in the other."""
    with VoicemailOffice(folder / "mail", text=TEXT) as office:
        tapes = Tapes(folder / "tapes")
        tapes.attach(office)
        waiting = TextRecord("t1", "1008", "1006", office.world.wallclock(), 5, "waiting")
        tapes.store.tenant(DOMAIN).save_text(waiting, "hello")
        tapes.store.flush()
        office.app.subscribe(CdrListener(CdrWriter(tapes.store)), CdrListener.EVENTS)
        running = Running(office, tapes)
        office.leave("1002", 2.0)
        running._parts.audit.note(DOMAIN, "1001", "recording-heard", "x")
        desk = office.phone(1007)
        desk.dial("*111003").presses("1357#", after=1.0).waits(3.0).hangs_up()
        office.world.run(until=office.world.now + 6.0)
        office.phone(1005).answers(after=0.2)
        calls = [office.phone(1010).dial(number) for number in ("700", "800", "610", "1005")]
        office.world.run(until=office.world.now + 6.0)
        yield office, running
        for call in (*calls, *(call for phone in office.world.phones for call in phone.received)):
            _end(call)
        office.run()
        tapes.store.close()


def _end(call: PhoneCall) -> None:
    if not call.is_over:
        call.hang_up() if call.was_answered else call.give_up()


def rows_of(office: VoicemailOffice, running: Running, name: str, tenant: str) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        arguments = {**ARGUMENTS.get(name, {}), "tenant": tenant}
        return [dict(row) async for row in commands_of(running)[name](arguments)]

    return office.world.loop.run_until_complete(ask())


COMMANDS = sorted(set(commands_of(SimpleNamespace(voicemail=None, messages=None))) - OF_THE_SERVER)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - CALLING))
def test_a_command_for_one_tenant_shows_nothing_of_the_other(name: str, tmp_path: Path) -> None:
    with busy(tmp_path) as (office, running):
        assert rows_of(office, running, name, DOMAIN), "it has something to show"
        shown = json.dumps(rows_of(office, running, name, SHOP), default=str)
        assert DOMAIN not in shown


def test_a_call_that_is_asked_for_in_one_tenant_rings_nobody_of_the_other(tmp_path: Path) -> None:
    with busy(tmp_path) as (office, running):
        ours = office.phone(1006)
        with pytest.raises(Exception, match="VP-3002"):
            rows_of(office, running, "call", SHOP)
        assert ours.received == []


def test_every_command_is_of_a_tenant_or_of_the_server() -> None:
    """What takes --tenant is tried above; the rest is named here."""
    (commands,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    of_tenant = {
        name
        for name, parser in commands.choices.items()
        if any("--tenant" in each.option_strings for each in parser._actions)
    }
    assert of_tenant == set(COMMANDS)


# Within a dialog only: alone they lead nowhere.
@pytest.mark.parametrize("method", sorted(METHODS - {"ACK", "CANCEL", "REGISTER", "INVITE"}))
@pytest.mark.parametrize("is_stolen", [False, True], ids=["out of dialog", "in the other's dialog"])
def test_no_method_reaches_a_phone_or_a_call_of_the_other(method: str, is_stolen: bool, tmp_path: Path) -> None:
    with VoicemailOffice(tmp_path, text=TEXT) as office:
        victim, asker = office.phone(1002), office.phone(1003, SHOP)
        victim.answers(after=0.2)
        call = office.phone(1006).dial("1002")
        office.world.run(until=office.world.now + 2.0)
        assert call.was_answered
        asker.notified.clear()  # of its own mailbox
        replaces = call.replaces()
        statuses: list[int] = []
        if is_stolen:
            lines = [
                ("From", f"<sip:1006@{DOMAIN}>;tag={replaces.from_tag}"),
                ("To", f"<sip:1002@{DOMAIN}>;tag={replaces.to_tag}"),
                ("Call-ID", replaces.call_id),
                ("CSeq", f"99 {method}"),
                ("Contact", f"<{asker.contact}>"),
                *ASKED,
            ]
            stolen = Request(method, f"sip:1002@{DOMAIN}", lines)
            asker._send(stolen, lambda response, _: statuses.append(0 if response is None else response.status))
        else:
            asker.request(
                method,
                f"sip:1002@{DOMAIN}",
                lambda response: statuses.append(0 if response is None else response.status),
                headers=ASKED,
            )
        office.world.run(until=office.world.now + 2.0)
        assert statuses and (statuses[0] >= 400 or method == "OPTIONS"), statuses
        assert not call.is_over and not victim.received[0].is_over
        assert victim.messages == [] and asker.notified == [] and len(office.app.subscriptions) == 0
        call.hang_up()
        office.run()


# Those that begin, or are told of all tenants.
SERVICES = {
    Mailboxes: {"on_changed", "on_kept"},
    Recordings: set(),
    Parking: set(),
    Queues: set(),
    HotDesks: {"start", "stop", "attach", "settle"},
}


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.__name__)
def test_every_verb_of_a_service_names_its_tenant(service: type[object]) -> None:
    """What flows and commands are given: a verb without a tenant (or a call, which has one) would serve all of them."""
    named = {"tenant", "domain", "domains", "call", "event", "seat", "parked"}
    for name, verb in inspect.getmembers(service, inspect.isfunction):
        if name.startswith("_") or name in SERVICES[service]:
            continue
        assert named & set(inspect.signature(verb).parameters), f"{service.__name__}.{name}"
