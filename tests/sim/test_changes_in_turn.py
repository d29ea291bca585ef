"""Changes that a leg cannot make now are made later: after a 491, a 500, or when another one is over."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sipcore.offer_answer import offered_formats
from sipcore.parser import parse_message
from sipcore.sdp import parse_sdp
from sipcore.transaction import HeaderPairs
from tests.sim.test_hold import Talk, holds
from voipat import reasons
from voipat.errors import Rejected
from voipat.testing import PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")


def refuses_changes(call: PhoneCall, *answers: tuple[int, HeaderPairs]) -> list[float]:
    """Let the phone refuse so many changes before it takes one; when each of them came."""
    left, moments, take = list(answers), [], call._on_offer

    def on_offer(transaction: object, request: object) -> None:
        moments.append(call.phone.world.now)
        if not left:
            take(transaction, request)  # type: ignore[arg-type]  # as they came
            return
        status, headers = left.pop(0)
        endpoint = call.phone.endpoint
        call.phone._execute(lambda now: endpoint.respond(transaction, status, now, headers=headers))  # type: ignore[arg-type]

    call._on_offer = on_offer  # type: ignore[method-assign,assignment]  # a phone with other plans
    return moments


@pytest.mark.rfc("3261", "14.1", "between 2.1 and 4 seconds in units of 10 ms")
@pytest.mark.parametrize(("side", "low", "high"), [(1, 2.1, 4.0), (0, 0.0, 2.0)])
def test_after_491_the_owner_of_the_call_id_waits_longer(seed: int, side: int, low: float, high: float) -> None:
    """MUST: 2.1 to 4 s in units of 10 ms when the UAC made the Call-ID, else 0 to 2 s."""
    with Talk(seed, music=True) as talk:
        leg = talk.legs[side]
        phone = talk.world.phones[1].received[0] if side else talk.call
        moments = refuses_changes(phone, (491, ()), (491, ()))
        talk.do(leg.hold())
        assert holds(leg) == (True, False) and len(moments) == 3
        for earlier, later in pairwise(moments):
            assert low <= round(later - earlier - 0.02, 6) <= high + 0.02


@pytest.mark.rfc("3261", "14.2", "a randomly chosen value of between 0 and 10 seconds")
def test_after_500_the_change_waits_for_its_retry_after(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        moments = refuses_changes(talk.call, (500, (("Retry-After", "7"),)))
        talk.do(talk.legs[0].hold())
        assert talk.legs[0].is_held and 7.0 <= moments[1] - moments[0] <= 7.1


def test_a_500_that_names_no_time_is_a_refusal(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        moments = refuses_changes(talk.call, (500, ()))
        with pytest.raises(Rejected) as caught:
            talk.do(talk.legs[0].hold())
        assert caught.value.reason is reasons.CHANGE_REFUSED and len(moments) == 1
        assert not talk.legs[0].is_held


def test_a_peer_that_never_has_time_is_given_up(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        moments = refuses_changes(talk.call, *[(491, ())] * 20)
        with pytest.raises(Rejected) as caught:
            talk.do(talk.legs[0].hold())
        assert caught.value.reason is reasons.CHANGE_PENDING and len(moments) == 10
        assert not talk.legs[0].is_held and talk.talks()


def test_verbs_at_the_same_moment_are_done_in_turn(seed: int) -> None:
    """A hold and its end, asked for at once, are two re-INVITEs, and what was asked last is what is left."""
    with Talk(seed, music=True) as talk:
        leg = talk.legs[0]
        loop = talk.world.loop
        both = [loop.create_task(leg.hold()), loop.create_task(talk.legs[1].hold())]
        talk.after(0.005)
        both.append(loop.create_task(leg.resume()))
        talk.after(5.0)
        assert all(task.done() and task.exception() is None for task in both)
        assert not leg.is_held and talk.legs[1].is_held
        talk.do(talk.legs[1].resume())
        assert talk.talks()


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_hold_while_the_peers_own_change_is_under_way_waits_for_it(seed: int, by: str) -> None:
    """The peer's re-INVITE waits for the other phone, which takes its time; ours goes when that is over."""
    with Talk(seed, music=False) as talk:
        asker, other, leg = talk.sides(by)
        take = other._on_offer
        other._on_offer = lambda *event: talk.world.loop.call_later(6.0, take, *event)  # type: ignore[method-assign,assignment]  # slow
        asker.hold()
        talk.after(1.0)
        held = talk.world.loop.create_task(leg.hold())
        talk.after(4.0)
        assert not held.done()
        talk.after(5.0)
        other._on_offer = take  # type: ignore[method-assign]
        talk.after(5.0)
        assert held.done() and held.exception() is None and holds(leg) == (True, True)


def test_a_refused_change_leaves_the_session_and_its_refreshes_as_they_were(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        leg = talk.legs[0]
        assert leg.media is not None
        before = leg.media.offer_unchanged()
        refuses_changes(talk.call, (488, ()))
        with pytest.raises(Rejected):
            talk.do(leg.hold())
        after = leg.media.offer_unchanged()
        assert [line for line in after.split(b"\r\n") if not line.startswith(b"o=")] == [
            line for line in before.split(b"\r\n") if not line.startswith(b"o=")
        ]
        assert talk.talks()


@pytest.mark.rfc("3264", "8.3.2", "MUST NOT change for the duration of a session")
def test_a_dynamic_number_keeps_its_codec_for_all_of_a_session(seed: int) -> None:
    """MUST: "mapping from a particular dynamic payload type number to a particular codec [...] MUST NOT change"."""
    with Talk(seed, music=True) as talk:
        leg = talk.legs[0]
        talk.do(leg.hold(), leg.resume())
        talk.call.ask_for_offer()
        talk.after(1.0)
        numbers: dict[int, str] = {}
        sent = [rung.data for rung in talk.world.network.ladder if rung.destination == talk.call.phone.address]
        for data in sent:
            body = parse_message(data).body
            for each in offered_formats(parse_sdp(body)) if body.startswith(b"v=0") else ():
                assert numbers.setdefault(each.payload_type, each.rtpmap) == each.rtpmap
        assert len(numbers) > 3
