"""Text messages to who is away: kept, and sent in order when the phone registers; nobody gets one twice."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from pbx.directory import LiveDirectory
from pbx.retention import DAY_S
from pbx.waiting_messages import WaitingMessages
from tests.sim.office import DOMAIN, Office
from voipat.testing import Phone

pytestmark = pytest.mark.usefixtures("nothing_left")


def texts_of(phone: Phone) -> list[str]:
    return [request.body.decode() for request in phone.messages]


def sends(office: Office, sender: Phone, *texts: str, to: str = "1002") -> list[int]:
    """The last status for each, sent one after the other."""
    statuses = []
    for text in texts:
        answers = sender.says(to, text)
        office.world.run(until=office.world.now + 40.0)
        statuses.append(answers[-1])
    return statuses


@pytest.mark.rfc(
    "3428",
    "7",
    "A UAS which is, in fact, a message relay, storing the message and forwarding it later on, or forwarding it into a "
    "non-SIP domain, SHOULD return a 202 (Accepted) response indicating that the message was accepted, but end to end "
    "delivery has not been guaranteed.",
)
def test_messages_to_who_is_away_are_accepted_and_come_in_order_at_the_next_registration(seed: int) -> None:
    with Office(seed=seed, messages_kept=10) as office:
        (alice,) = office.phones(1)
        assert sends(office, alice, "one", "two", "three") == [202, 202, 202]
        bob = office.phone(1002).register()
        office.world.run(until=office.world.now + 5.0)
        assert texts_of(bob) == ["one", "two", "three"]
        assert office.waiting is not None and len(office.waiting) == 0 and office.store.texts == {}
        # When each was sent is said, for it is not now.
        assert bob.messages[0].headers.get("Date") == "Thu, 01 Jan 2026 00:00:01 GMT"
        bob.register()
        office.world.run(until=office.world.now + 5.0)
        assert len(bob.messages) == 3
        assert sends(office, alice, "four") == [200]


def test_who_does_not_answer_gets_it_later_and_nothing_overtakes_it(seed: int) -> None:
    with Office(seed=seed, messages_kept=10) as office:
        alice, bob = office.phones(2)
        office.world.network.partition("voipat", bob.name)
        assert sends(office, alice, "one") == [202]
        office.world.network.heal("voipat", bob.name)
        # The phone is there again, and the older message is first all the same.
        assert sends(office, alice, "two") == [202]
        bob.register()
        office.world.run(until=office.world.now + 5.0)
        assert texts_of(bob) == ["one", "two"]


def test_a_phone_that_goes_while_its_messages_come_gets_the_rest_at_its_return(seed: int) -> None:
    with Office(seed=seed, messages_kept=10) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one", "two", "three")
        bob = office.phone(1002)
        office.world.network.lose("MESSAGE", source="voipat", destination=bob.name, count=1000)
        bob.register()
        office.world.run(until=office.world.now + 60.0)
        assert texts_of(bob) == [] and office.waiting is not None and len(office.waiting) == 3
        office.world.network._faults.clear()
        bob.register()
        office.world.run(until=office.world.now + 5.0)
        assert texts_of(bob) == ["one", "two", "three"]


def test_what_was_under_way_when_the_server_died_is_not_sent_again(seed: int) -> None:
    with Office(seed=seed, messages_kept=10) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one", "two")
        bob = office.phone(1002)
        office.world.network.lose("200 MESSAGE", source=bob.name, count=1000)
        bob.register()
        office.world.run(until=office.world.now + 1.0)
        # The phone has it, and the server that does not know it dies here: what it leaves is in the store.
        assert texts_of(bob) == ["one"]
        assert [record.state for record in office.store.load_texts()] == ["sending", "waiting"]
        office.world.network._faults.clear()
        assert office.waiting is not None
        after = WaitingMessages(
            office.store, office.directory, wallclock=office.world.wallclock, random_bytes=office.world.entropy.bytes
        )
        after.recover([DOMAIN])
        assert [record.state for _, record in after.rows()] == ["sending", "waiting"]
        record = after._next((DOMAIN, "1002"))
        assert record is not None and json.loads(office.store.text(record.id) or "")["body"] == "dHdv"


def test_a_message_that_no_phone_ever_takes_is_refused_and_not_kept(seed: int) -> None:
    with Office(seed=seed, messages_kept=10) as office:
        (alice,) = office.phones(1)
        assert sends(office, alice, "hello", to="4711") == [404]
        typing = (("Content-Type", "application/im-iscomposing+xml"),)
        answers = alice.says("1002", "<isComposing/>", headers=typing)
        office.world.run(until=office.world.now + 2.0)
        assert answers == [480]
        assert office.store.texts == {}


def test_so_many_are_kept_for_each_and_no_more(seed: int) -> None:
    with Office(seed=seed, messages_kept=2) as office:
        (alice,) = office.phones(1)
        assert sends(office, alice, "one", "two", "three") == [202, 202, 480]
        assert sends(office, alice, "one", to="1003") == [202]
        assert office.waiting is not None and len(office.waiting) == 3


def test_what_nobody_fetches_goes_after_its_days(seed: int) -> None:
    with Office(seed=seed, messages_kept=2) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one")
        waiting = office.waiting
        assert waiting is not None and waiting.sweep() == 0
        waiting._wallclock = lambda: office.world.wallclock() + 7 * DAY_S
        assert waiting.sweep() == 1 and len(waiting) == 0 and office.store.texts == {}


def test_messages_of_a_tenant_that_is_gone_are_swept(seed: int) -> None:
    with Office(seed=seed, messages_kept=2) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one")
        directory = LiveDirectory(type(office.directory.current)([], default_tenant=None))
        after = WaitingMessages(
            office.store, directory, wallclock=office.world.wallclock, random_bytes=office.world.entropy.bytes
        )
        after.recover([DOMAIN])
        assert after.sweep() == 1 and office.store.texts == {}


def test_an_operator_lists_and_deletes_them_without_reading(seed: int) -> None:
    with Office(seed=seed, messages_kept=5) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one", "two")
        assert office.waiting is not None
        rows = list(office.waiting.rows(DOMAIN, "1002"))
        assert [(record.sender, record.bytes) for _, record in rows] == [("1001", 3), ("1001", 3)]
        assert office.waiting.delete(None, "nothing") is None
        assert office.waiting.delete(DOMAIN, rows[0][1].id) == rows[0]
        bob = office.phone(1002).register()
        office.world.run(until=office.world.now + 5.0)
        assert texts_of(bob) == ["two"]


def test_the_store_holds_what_was_sent(seed: int) -> None:
    with Office(seed=seed, messages_kept=5) as office:
        (alice,) = office.phones(1)
        sends(office, alice, "one")
        ((record, content),) = office.store.texts.values()
        assert (record.recipient, record.state) == ("1002", "waiting")
        assert b64decode(json.loads(content)["body"]) == b"one"
