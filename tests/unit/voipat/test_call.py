"""Calls as handlers see them, on the simulated network: verbs, outcomes, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from voipat import App, Call, Cancelled, HungUp, NoAnswer, Registrar, Rejected, events, reasons
from voipat.testing import Phone, SimWorld

PASSWORD = "secret"


class Stage:
    """An App with phones of example.com, and all that it told."""

    def __init__(self, world: SimWorld, app: App, told: list[events.Event]) -> None:
        self.world = world
        self.app = app
        self.told = told

    def phone(self, user: str, *, registered: bool = True) -> Phone:
        phone = self.world.phone(f"sip:{user}@example.com", password=PASSWORD)
        if registered:
            phone.register(refresh=False)
            self.world.run(until=self.world.now + 0.2)
        return phone

    @property
    def cdrs(self) -> list[tuple[str, str, str, str]]:
        """(leg, disposition, hung up by, reason) of each leg, in the order of their ends."""
        ends = [event for event in self.told if isinstance(event, events.CallEnded)]
        return [(end.leg, end.disposition, end.hangup_by, end.cause.id) for end in ends]


@contextmanager
def stage(
    handler: Callable[[Call], object], *, pattern: str = "sip:*@example.com", public: bool = False
) -> Iterator[Stage]:
    app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]))
    told: list[events.Event] = []
    app.subscribe(told.append)
    app.on_call(pattern, public=public)(handler)  # type: ignore[arg-type]  # every handler here is a coroutine function
    with SimWorld(app) as world:
        yield Stage(world, app, told)
        assert world.leaks() == []
        exchange = app.exchange
        assert not exchange.requesters and not exchange.dialogs and not exchange.invites and not app.calls
        assert sum(isinstance(e, events.CallStarted) for e in told) == sum(
            isinstance(e, events.CallEnded) for e in told
        )


async def switch(call: Call) -> None:
    assert call.to.user is not None
    await call.bridge(await call.dial(call.to.user, timeout=20.0))


def test_a_bridged_call_is_over_when_the_caller_hangs_up() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob").answers(after=1.0)
        call = alice.dial("bob").hangs_up(after=5.0)
        s.world.run()
        assert call.was_answered and bob.received[0].reasons == ['Q.850;cause=16;text="VP-4001 Normal call clearing"']
        assert s.cdrs == [("a", "answered", "caller", "VP-4001"), ("b", "answered", "caller", "VP-4001")]
        ended = [event for event in s.told if isinstance(event, events.CallEnded)]
        assert [round(end.billable_s) for end in ended] == [5, 5]
        assert all(end.media.packets_received > 200 and end.media.lost == 0 for end in ended)
        assert ended[0].attempts == 1


def test_a_bridged_call_is_over_when_the_callee_hangs_up() -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        s.phone("bob").answers(after=1.0, hangs_up_after=3.0)
        call = alice.dial("bob")
        s.world.run()
        assert call.ended_by == "peer"
        assert s.cdrs == [("b", "answered", "callee", "VP-4001"), ("a", "answered", "callee", "VP-4001")]


@pytest.mark.parametrize(
    ("status", "told_status", "disposition", "reason"),
    [
        (486, 486, "busy", "VP-3004"),
        (600, 486, "busy", "VP-3004"),
        (603, 603, "failed", "VP-3005"),
        (480, 480, "no_answer", "VP-3003"),
        (404, 480, "failed", "VP-3007"),
        (302, 480, "failed", "VP-3010"),
        (503, 480, "failed", "VP-3007"),
        (407, 480, "failed", "VP-3009"),
        (488, 488, "failed", "VP-3008"),
    ],
)
def test_a_phones_refusal_becomes_ours(status: int, told_status: int, disposition: str, reason: str) -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        s.phone("bob").refuses(status)
        call = alice.dial("bob")
        s.world.run()
        assert (call.status, call.warning_ids[-1]) == (told_status, reason)
        assert s.cdrs == [("b", disposition, "callee", reason), ("a", disposition, "callee", reason)]


def test_nobody_registered_is_480_and_failed() -> None:
    with stage(switch) as s:
        call = s.phone("alice").dial("bob")
        s.world.run()
        assert (call.status, s.cdrs) == (480, [("a", "failed", "server", "VP-3002")])


def test_nobody_picks_up_is_480_and_no_answer() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob").rings()
        call = alice.dial("bob")
        s.world.run()
        assert call.status == 480 and "VP-3003" in bob.received[0].reasons[0]
        assert s.cdrs == [("b", "no_answer", "server", "VP-3003"), ("a", "no_answer", "server", "VP-3003")]


def test_a_caller_who_gives_up_is_487_and_the_phones_are_cancelled() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob").rings()
        call = alice.dial("bob").cancels(after=3.0)
        s.world.run()
        assert call.status == 487 and "VP-4003" in bob.received[0].reasons[0]
        assert s.cdrs == [("a", "cancelled", "caller", "VP-4003"), ("b", "cancelled", "caller", "VP-4003")]


def test_all_phones_ring_and_the_losers_hear_completed_elsewhere() -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        winner, loser = s.phone("bob").answers(after=2.0), s.phone("bob").rings()
        alice.dial("bob").hangs_up(after=1.0)
        s.world.run()
        assert winner.received[0].was_answered
        assert loser.received[0].reasons == [
            'SIP;cause=200;text="Call completed elsewhere"',
            'Q.850;cause=26;text="VP-4002 Call completed elsewhere"',
        ]


@pytest.mark.rfc(
    "3261",
    "16.7",
    "If a 6xx response is received, … it MUST NOT create any new branches in this context.",
)
def test_a_6xx_ends_the_search() -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        s.phone("bob").refuses(603, after=1.0)
        other = s.phone("bob").rings()
        call = alice.dial("bob")
        s.world.run()
        assert call.status == 603 and "VP-4010" in other.received[0].reasons[0]


@pytest.mark.parametrize("offset", [-0.02, -0.01, 0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04])
def test_a_cancel_that_crosses_the_answer_leaves_nothing(offset: float) -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        s.phone("bob").answers(after=2.0)
        s.phone("bob").answers(after=2.004)
        alice.dial("bob").cancels(after=2.02 + offset)
        s.world.run()
        assert len(s.cdrs) == 3


def test_early_media_reaches_the_caller_and_180_passes_after_183() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob")
        bob.on_call(
            lambda call: (
                call.ring(183, early_media=True),
                s.world.at(s.world.now + 1, lambda: call.ring(180)),
                s.world.at(s.world.now + 3, call.answer),
            )
        )
        call = alice.dial("bob").hangs_up(after=1.0)
        s.world.run(until=s.world.now + 2.5)
        assert call.statuses[-2:] == [183, 180] and call.heard.tone() == bob.tone
        s.world.run()
        assert call.was_answered


def test_hold_and_resume_reach_the_other_phone() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob").answers(after=0.5)
        alice.dial("bob").holds(after=1.0).resumes(after=40.0).hangs_up(after=2.0)
        s.world.run(until=s.world.now + 3.0)
        assert bob.received[0].held_by_peer
        s.world.run()
        assert not bob.received[0].held_by_peer
        assert s.cdrs[0] == ("a", "answered", "caller", "VP-4001")


def test_the_callee_learns_nothing_of_the_callers_side() -> None:
    with stage(switch) as s:
        alice, bob = s.phone("alice"), s.phone("bob").answers(after=0.5)
        call = alice.dial("bob", headers=[("X-Secret", "1"), ("Subject", "private")]).hangs_up(after=1.0)
        s.world.run()
        assert call.request is not None and bob.received[0].request is not None
        seen = bob.received[0].request.to_bytes().decode()
        hidden = [alice.address.host, call.request.call_id, call.request.from_.tag, "X-Secret", "Subject", "voipat-sim"]
        assert [text for text in hidden if text and text in seen] == []


def test_echo_answers_and_sends_back() -> None:
    async def echo(call: Call) -> None:
        await call.echo()

    with stage(echo) as s:
        alice = s.phone("alice")
        call = alice.dial("echo").hangs_up(after=2.0)
        s.world.run()
        assert call.heard.tone() == alice.tone
        assert s.cdrs == [("a", "answered", "caller", "VP-4001")]


def test_a_handler_that_returns_hangs_up() -> None:
    async def brief(call: Call) -> None:
        await call.answer()
        await asyncio.sleep(1.0)

    with stage(brief) as s:
        call = s.phone("alice").dial("x")
        s.world.run()
        assert call.was_answered and call.ended_by == "peer"
        assert s.cdrs == [("a", "answered", "server", "VP-4001")]


def test_a_handler_that_takes_nothing_refuses() -> None:
    async def nothing(call: Call) -> None:
        await call.ring()

    with stage(nothing) as s:
        call = s.phone("alice").dial("x")
        s.world.run()
        assert (call.statuses, s.cdrs) == ([180, 480], [("a", "failed", "server", "VP-3011")])


@pytest.mark.parametrize("answers", [True, False])
def test_a_handler_that_raises_costs_its_own_call_only(answers: bool, caplog: pytest.LogCaptureFixture) -> None:
    raised_at: list[float] = []

    async def broken(call: Call) -> None:
        if answers:
            await call.answer()
        await call.until(call.switch.loop.create_future(), timeout=1.0)
        raised_at.append(s.world.now)
        raise ZeroDivisionError

    with stage(broken) as s:
        call = s.phone("alice").dial("x")
        s.world.run()
        assert call.was_answered is answers and "VP-2006" in call.warning_ids
        assert call.status == (200 if answers else 500)
        kinds = ("BYE",) if answers else ("500",)
        told = [rung.time for rung in s.world.network.ladder if rung.kind.startswith(kinds)]
        assert told[0] - raised_at[0] <= 0.1
        assert s.app.counters["handler_errors"] == 1 and "ZeroDivisionError" in caplog.text
        [record] = [record for record in caplog.records if record.exc_info]
        assert call.request is not None and getattr(record, "call_id", None) == call.request.call_id


def test_hang_up_unwinds_a_handler_that_waits_for_something_else() -> None:
    ended: list[str] = []

    async def distracted(call: Call) -> None:
        await call.answer()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(call.id)

    with stage(distracted) as s:
        s.phone("alice").dial("x").hangs_up(after=1.0)
        s.world.run()
        assert len(ended) == 1 and s.cdrs == [("a", "answered", "caller", "VP-4001")]


def test_verbs_of_an_ended_call_say_how_it_ended() -> None:
    seen: list[type[BaseException]] = []

    async def stubborn(call: Call) -> None:
        for verb in (call.hung_up, call.answer, call.ring, call.echo):
            try:
                await verb()
            except (HungUp, Cancelled) as outcome:
                seen.append(type(outcome))

    with stage(stubborn) as s:
        s.phone("alice").dial("x").cancels(after=1.0)
        s.world.run(until=s.world.now + 0.5)
        s.world.run()
        assert seen == [Cancelled] * 4


def test_no_answer_and_refusals_can_be_caught_and_another_number_tried() -> None:
    caught: list[str] = []

    async def hunt(call: Call) -> None:
        for user in ("bob", "carol", "dave"):
            try:
                winner = await call.dial(user, timeout=5.0)
            except NoAnswer:
                caught.append("no answer")
            except Rejected as refused:
                caught.append(refused.reason.id)
            else:
                await call.bridge(winner)

    with stage(hunt) as s:
        alice = s.phone("alice")
        s.phone("bob").rings()
        s.phone("carol").refuses(486)
        s.phone("dave").answers(after=1.0)
        call = alice.dial("anybody").hangs_up(after=1.0)
        s.world.run()
        assert call.was_answered and caught == ["no answer", "VP-3004"]
        assert [cdr[0] for cdr in s.cdrs] == ["b", "b", "a", "b"]


def test_silence_ends_a_call_by_media_timeout() -> None:
    with stage(switch) as s:
        s.world.talk = lambda call: 0.02 if call.is_outgoing else 0.0
        alice = s.phone("alice")
        s.phone("bob").answers(after=0.5)
        call = alice.dial("bob")
        s.world.run()
        assert call.ended_by == "peer" and "VP-4004" in call.warning_ids
        assert s.cdrs == [("b", "answered", "server", "VP-4004"), ("a", "answered", "server", "VP-4004")]


def test_an_ack_that_never_comes_ends_the_call() -> None:
    with stage(switch) as s:
        alice = s.phone("alice")
        s.phone("bob").answers(after=0.5)
        s.world.network.lose("ACK", source="alice", count=1000)
        alice.dial("bob").hangs_up(after=100.0)
        s.world.run()
        assert s.cdrs[0] == ("a", "answered", "server", "VP-4005")


def test_strangers_reach_public_handlers_only() -> None:
    async def door(call: Call) -> None:
        assert call.identity is None and call.tenant == ""
        await call.reject(reasons.BUSY)

    for public, status in ((True, 486), (False, 403)):
        with stage(door, public=public) as s:
            stranger = s.world.phone("sip:eve@elsewhere.test")
            call = stranger.dial("sip:door@example.com")
            s.world.run()
            assert call.status == status
            assert len(s.cdrs) == public


def test_another_tenants_users_are_unknown_numbers() -> None:
    async def outside(call: Call) -> None:
        await call.dial("sip:bob@other.example")

    app = App(registrar=Registrar(["example.com", "other.example"], password_of=lambda user: PASSWORD))
    app.on_call("*")(outside)
    with SimWorld(app) as world:
        bob = world.phone("sip:bob@other.example", password=PASSWORD).register(refresh=False)
        alice = world.phone("sip:alice@example.com", password=PASSWORD).register(refresh=False)
        world.run(until=1.0)
        call = alice.dial("x")
        world.run()
        assert call.status == 404 and not bob.received
