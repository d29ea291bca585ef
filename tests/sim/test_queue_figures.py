"""What a queue tells of itself: figures of the day that equal a recount of the CDRs, events, rows."""

from __future__ import annotations

from pbx.objects_shown import show_row
from pbx.services_shown import queue_rows
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import events

TEXT = EXAMPLE.replace("announce_position = true", "max_wait_s = 12\nsla_s = 6\nring_s = 5")


def figures(office: PlanOffice) -> dict[str, object]:
    (row,) = queue_rows(office.board.desk, office.directory.current.tenants, DOMAIN, None, now=office.world.wallclock())
    return dict(row)


def test_the_figures_of_a_day_equal_a_recount_of_its_cdrs(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        for number in (1004, 1005):
            office.phone(number).answers(after=1.0)
        callers = [office.phone(number) for number in range(1006, 1011)]
        for index in range(25):
            stays = (4.0, 9.0, 30.0)[index % 3]
            callers[index % 5].dial("610", after=1.5 * index).hangs_up(after=stays)
        office.run()
        found = figures(office)
        waits, gave_up, sent_on = recount(office)
        assert found["offered"] == 25 == len(waits) + gave_up + sent_on
        assert (found["answered"], found["abandoned"], found["elsewhere"]) == (len(waits), gave_up, sent_on)
        assert found["in_time"] == sum(wait <= 6.0 for wait in waits) and min(len(waits), gave_up, sent_on) > 0
        assert found["average_wait_s"] == round(sum(waits) / len(waits), 1)
        assert found["in_time_percent"] == round(100 * sum(wait <= 6.0 for wait in waits) / 25, 1)
        assert found["longest_wait_s"] == 12.0 and found["waiting"] == 0


def recount(office: PlanOffice) -> tuple[list[float], int, int]:
    """How long who was answered had waited, how many gave up, how many were sent on: from the legs' ends alone."""
    waits, gave_up, sent_on = [], 0, 0
    answers = {end.linked_id: end.answered for end in office.ended if end.leg == "b" and end.answered is not None}
    for end in office.ended:
        if end.leg != "a":
            continue
        if end.id in answers:
            assert end.answered is not None
            waits.append(answers[end.id] - end.answered)
        elif end.hangup_by == "caller":
            gave_up += 1
        else:
            sent_on += 1
    return waits, gave_up, sent_on


def test_each_stay_has_a_beginning_and_one_end(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        office.phone(1004).answers(after=1.0)
        first = office.phone(1006).dial("610").hangs_up(after=8.0)
        office.phone(1007).dial("610", after=0.5).hangs_up(after=3.0)
        office.run()
        told = [each for each in office.told if isinstance(each, events.QueueJoined | events.QueueLeft)]
        joined = [(each.queue, each.waiting) for each in told if isinstance(each, events.QueueJoined)]
        left = sorted((each.why, each.agent) for each in told if isinstance(each, events.QueueLeft))
        assert joined == [("610", 1), ("610", 1)] or joined == [("610", 1), ("610", 2)]
        assert left == [("abandoned", ""), ("answered", "1004")] and first.was_answered


def test_a_day_has_its_own_figures_and_show_has_them(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        office.phone(1004).answers(after=1.0)
        caller = office.phone(1006)
        caller.dial("610").hangs_up(after=8.0)
        office.run()
        tenants = list(office.directory.current.tenants.values())
        shown = show_row(tenants, office.state, f"{DOMAIN}/queue/610")
        days = shown["figures"]
        assert isinstance(days, dict) and list(days) == ["2026-01-01"]
        assert days["2026-01-01"] == {key: figures(office)[key] for key in days["2026-01-01"]}
        office.world.run(until=office.world.now + 86_400.0)
        assert figures(office)["offered"] == 0
        caller.register()
        office.world.run(until=office.world.now + 1.0)
        caller.dial("610").hangs_up(after=3.0)
        office.run()
        assert figures(office)["offered"] == 1
