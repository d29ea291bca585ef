"""What `voipat conferences`, `queues` and `parked` show of an office at work."""

from __future__ import annotations

from pbx.services_shown import conference_rows, parked_rows, queue_rows
from tests.sim.plan_office import DOMAIN, PlanOffice


def test_a_conference_and_its_members(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        calls = [office.phone(number).dial("700") for number in (1006, 1007)]
        office.world.run(until=office.world.now + 4.0)
        (room,) = conference_rows(office.app, None, None)
        assert (room["tenant"], room["members"], room["locked"]) == (DOMAIN, 2, False)
        members = list(conference_rows(office.app, DOMAIN, str(room["room"])))
        assert [row["caller"] for row in members] == ["1006", "1007"]
        assert list(conference_rows(office.app, "shop.test", None)) == []
        for call in calls:
            call.hang_up()
        office.run()
        assert list(conference_rows(office.app, None, None)) == []


def test_a_queue_its_callers_and_agents(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        tenants = office.directory.current.tenants
        agent = office.phone(1004).rings()
        office.state.tenant(DOMAIN).set("1005", "queue.paused", "on")
        call = office.phone(1006).dial("610")
        office.world.run(until=office.world.now + 3.0)
        (queue,) = queue_rows(office.board.desk, tenants, None, None, now=office.world.wallclock())
        assert (queue["queue"], queue["waiting"], queue["agents"]) == ("610", 1, 2)
        rows = list(queue_rows(office.board.desk, tenants, DOMAIN, "610", now=office.world.wallclock()))
        assert [(row["kind"], row["number"], row["state"], row["place"]) for row in rows] == [
            ("caller", "1006", "ringing", 1), ("agent", "1004", "busy", None), ("agent", "1005", "paused", None),
        ]  # fmt: skip
        assert agent.received and list(queue_rows(office.board.desk, tenants, "shop.test", None, now=0.0)) == []
        call.hang_up()
        office.run()


def test_a_parked_call(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1006).dial("800")
        office.world.run(until=office.world.now + 6.0)
        (row,) = parked_rows(office.board.desk, None)
        assert (row["slot"], row["number"]) == ("801", "1006")
        assert list(parked_rows(office.board.desk, "shop.test")) == []
        call.hang_up()
        office.run()
        assert list(parked_rows(office.board.desk, None)) == []
