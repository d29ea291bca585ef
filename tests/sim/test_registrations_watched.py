"""The reg event package (RFC 3680): a user's phones hear of one another, and of being forgotten; colleagues do not."""

from __future__ import annotations

import re

import pytest

from tests.sim.office import DOMAIN, Office
from tests.sim.test_watching import Counts

pytestmark = pytest.mark.usefixtures("nothing_left")


def told(body: bytes) -> tuple[str, list[tuple[str, str]]]:
    """The state of the registration, and state and event of each contact."""
    text = body.decode()
    found = re.findall(r'<contact id="\w+" state="(\w+)" event="(\w+)"', text)
    states = re.findall(r'<registration [^>]*state="(\w+)"', text)
    return states[0], found


@pytest.mark.rfc("3680", "4.7")
def test_a_phone_hears_of_the_others_of_its_user(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        desk, mobile = office.phone(1001).register(), office.phone(1001)
        office.world.run(until=2.0)
        desk.notified.clear()
        assert desk.subscribe("reg", "1001") == []
        office.world.run(until=office.world.now + 1.0)
        mobile.register()
        office.world.run(until=office.world.now + 8.0)
        mobile.unregister()
        office.world.run(until=office.world.now + 8.0)
        heard = [each for each in desk.notified if each.headers.get("Event") == "reg"]
        assert [told(each.body) for each in heard] == [
            ("active", [("active", "created")]),
            ("active", [("active", "created")]),
            ("active", [("terminated", "unregistered")]),
        ]
        assert {each.headers.get("Content-Type") for each in heard} == {"application/reginfo+xml"}
        versions = [re.findall(rb'version="(\d+)" state="(\w+)"', each.body)[0] for each in heard]
        assert versions == [(b"0", b"full"), (b"1", b"partial"), (b"2", b"partial")]


def test_who_lets_its_registration_run_out_is_told_to_the_others(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        desk, mobile = office.phone(1001).register(), office.phone(1001).register(expires=60, refresh=False)
        office.world.run(until=2.0)
        desk.subscribe("reg", "1001")
        office.world.run(until=90.0)
        assert told(desk.notified[-1].body) == ("active", [("terminated", "expired")])
        assert mobile.notified == [] or all(each.headers.get("Event") != "reg" for each in mobile.notified)


@pytest.mark.rfc("3680", "4.6")
def test_nobody_else_learns_where_a_users_phones_are(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _, bob = office.phones(2)
        statuses = bob.subscribe("reg", f"sip:1001@{DOMAIN}")
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [403] and not [each for each in bob.notified if each.headers.get("Event") == "reg"]


@pytest.mark.rfc("3680", "4.10")
def test_a_storm_of_registrations_is_a_notify_every_five_seconds(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        desk, mobile = office.phone(1001).register(), office.phone(1001)
        office.world.run(until=2.0)
        desk.notified.clear()
        desk.subscribe("reg", "1001")
        for turn in range(20):
            office.world.at(3.0 + turn, mobile.register if turn % 2 == 0 else mobile.unregister)
        office.world.run(until=30.0)
        assert 3 <= len([each for each in desk.notified if each.headers.get("Event") == "reg"]) <= 7
