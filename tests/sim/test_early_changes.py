"""A session that is changed before the call is answered: UPDATE in the early dialog, from either side (RFC 3311)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.events import DialogId
from sipcore.sdp import Direction
from tests.sim.office import Office
from voipat.testing import PhoneCall
from voipat.testing.call import SDP_TYPE

pytestmark = pytest.mark.usefixtures("nothing_left")

RELIABLE = (("Require", "100rel"),)


def early_dialog(call: PhoneCall) -> DialogId:
    """The dialog that the 183 has made, at the caller."""
    assert call.request is not None
    found = call.phone.endpoint.dialog_named(
        call.request.call_id, call.request.from_.tag or "", call.responses[-1].to.tag or ""
    )
    assert found is not None
    return found


def update(call: PhoneCall, dialog: DialogId, direction: Direction) -> list[int]:
    """An UPDATE with an offer; the status of its answer is in the list."""
    statuses: list[int] = []
    call._local = replace(call._local, direction=direction)
    call.phone.request_in(dialog, "UPDATE", statuses.append, headers=SDP_TYPE, body=call._offer())
    return statuses


def test_the_caller_changes_its_offer_after_a_reliable_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=3.0, early_media=True)
        call = alice.dial("1002", headers=RELIABLE).hangs_up(after=2.0)
        office.world.run(until=office.world.now + 1.0)
        assert call.status == 183 and call.audio is not None
        statuses = update(call, early_dialog(call), Direction.SENDONLY)
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [200]
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


def test_an_offer_before_any_answer_is_refused_and_the_call_goes_on(seed: int) -> None:
    """The 180 said nothing of media: the caller's own offer still waits, and its endpoint sends no other."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=3.0)
        call = alice.dial("1002", headers=RELIABLE).hangs_up(after=2.0)
        office.world.run(until=office.world.now + 1.0)
        assert update(call, early_dialog(call), Direction.SENDONLY) == [491]
        refreshed: list[int] = []
        alice.request_in(early_dialog(call), "UPDATE", refreshed.append)
        office.world.run()
        assert refreshed == [200] and call.was_answered
        assert office.world.leaks() == []


def test_the_callee_changes_the_session_after_its_reliable_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.manners = replace(bob.manners, ring_after=None)
        call = alice.dial("1002").hangs_up(after=4.0)
        office.world.run(until=office.world.now + 0.5)
        taken = bob.received[0]
        body, invite = taken._maybe_answer_sdp(), taken._invite
        assert body is not None and invite is not None
        bob._execute(lambda now: bob.endpoint.respond(invite, 183, now, headers=SDP_TYPE, body=body, reliable=True))
        office.world.run(until=office.world.now + 0.5)
        assert taken.dialog is not None
        statuses = update(taken, taken.dialog, Direction.SENDONLY)
        office.world.run(until=office.world.now + 0.5)
        assert statuses == [200]
        taken.answer()
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert office.world.leaks() == []
