"""`dtmf_info = false`: an INFO with digits is refused and its digits go nowhere; all else of the call is as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx import config
from pbx.directory import Directory
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat.testing import PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"
TENANT = 'domain = "office.test"'
PHONE = '1001 = { password = "pass-1001",'
TRUNK = 'name = "carrier"\n'
MIXED = "multipart/mixed;boundary=b"


def without(place: str) -> str:
    """The example, where digits by INFO are off for who the key stands with."""
    keys = {
        "server": EXAMPLE.replace("[server]", "[server]\ndtmf_info = false"),
        "tenant": EXAMPLE.replace(TENANT, f"{TENANT}\ndtmf_info = false", 1),
        "extension": EXAMPLE.replace(PHONE, f"{PHONE} dtmf_info = false,"),
        "trunk": EXAMPLE.replace(TRUNK, f"{TRUNK}dtmf_info = false\n", 1),
    }
    assert keys[place] != EXAMPLE
    return keys[place]


def body_of(kind: str, digit: str) -> bytes:
    if kind == MIXED:
        return f"--b\r\nContent-Type: {RELAY}\r\n\r\nSignal={digit}\r\n\r\n--b--\r\n".encode()
    return (digit if kind == PLAIN else f"Signal={digit}\r\nDuration=160\r\n").encode()


def info(office: PlanOffice, call: PhoneCall, digit: str = "7", kind: str = RELAY, body: bytes | None = None) -> int:
    """Sends an INFO in the call; its final status."""
    statuses: list[int] = []
    assert call.dialog is not None
    said = body_of(kind, digit) if body is None else body
    call.phone.request_in(call.dialog, "INFO", statuses.append, headers=(("Content-Type", kind),), body=said)
    office.world.run(until=office.world.now + 0.5)
    (status,) = statuses
    return status


def talk(office: PlanOffice) -> tuple[PhoneCall, PhoneCall]:
    """1001, who may transfer by code, calls 1004."""
    one, four = office.phone(1001), office.phone(1004)
    four.answers(after=0.5)
    call = one.dial("1004")
    office.world.run(until=office.world.now + 3.0)
    return call, four.received[0]


def refusals(office: PlanOffice) -> list[bytes]:
    return [rung.data for rung in office.world.network.ladder if rung.data.startswith(b"SIP/2.0 415")]


def infos(office: PlanOffice) -> int:
    """How many INFOs went over the wire, however far."""
    return sum(rung.data.startswith(b"INFO ") for rung in office.world.network.ladder)


@pytest.mark.rfc(
    "3261",
    "21.4.13",
    "The server MUST return a list of acceptable formats using the Accept, Accept-Encoding, or Accept-Language header "
    "field, depending on the specific problem with the content.",
)
@pytest.mark.parametrize("place", ["server", "tenant", "extension"])
@pytest.mark.parametrize("kind", [RELAY, PLAIN, MIXED])
def test_it_is_415_with_accept_and_the_id_and_no_digit_arrives(seed: int, place: str, kind: str) -> None:
    with PlanOffice(without(place), seed=seed) as office:
        call, other = talk(office)
        assert info(office, call, kind=kind) == 415
        (refused,) = refusals(office)
        assert b"\r\nAccept:" in refused and b"VP-6033" in refused
        assert infos(office) == 1, "it is not carried to the other side"
        call.presses("5")
        office.world.run(until=office.world.now + 1.0)
        assert other.heard.digits == "5", "keys of RFC 4733 are taken, and nothing else was"
        call.hang_up()
        office.run()


def test_a_code_by_info_does_nothing(seed: int) -> None:
    with PlanOffice(without("tenant"), seed=seed) as office:
        call, other = talk(office)
        assert [info(office, call, "#"), info(office, call, "#")] == [415, 415]
        office.world.run(until=office.world.now + 2.0)
        assert other.heard.hears(call.phone.tone, since=office.world.now - 0.5), "no transfer has begun"
        call.hang_up()
        office.run()


def test_a_menu_takes_no_key_by_info(seed: int) -> None:
    with PlanOffice(without("tenant"), seed=seed) as office:
        office.phone(1002).answers(after=0.5)
        call = office.phone(1004).dial("500")
        office.world.run(until=office.world.now + 2.0)
        assert info(office, call, "2") == 415
        office.world.run(until=office.world.now + 1.5)
        assert "1002" not in office.rung
        call.presses("2")
        office.world.run(until=office.world.now + 3.0)
        assert "1002" in office.rung
        call.hang_up()
        office.run()


def test_it_goes_by_the_leg_that_the_info_comes_from(seed: int) -> None:
    with PlanOffice(without("extension"), seed=seed) as office:
        call, other = talk(office)
        assert info(office, other) == 200
        assert info(office, call) == 415
        call.hang_up()
        office.run()


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_trunk_has_a_policy_of_its_own(seed: int, direction: str) -> None:
    with PlanOffice(without("trunk"), seed=seed) as office:
        if direction == "in":
            phone = office.phone(1001).answers(after=0.5)
            outside = office.calls_in("+12025550101")
            office.world.run(until=office.world.now + 3.0)
            inside = phone.received[0]
        else:
            office.carrier.answers(after=0.5)
            inside = office.phone(1001).dial("912025550199")
            office.world.run(until=office.world.now + 3.0)
            outside = office.carrier.received[0]
        assert info(office, inside) == 200
        assert info(office, outside) == 415
        inside.hang_up()
        office.run()


def test_other_bodies_and_none_are_carried_as_before(seed: int) -> None:
    with PlanOffice(without("tenant"), seed=seed) as office:
        call, _ = talk(office)
        assert info(office, call, kind="application/media_control+xml", body=b"<media_control/>") == 200
        assert infos(office) == 2, "carried to the other side"
        call.hang_up()
        office.run()


def test_digits_before_the_answer_are_refused_too(seed: int) -> None:
    with PlanOffice(without("tenant"), seed=seed) as office:
        four = office.phone(1004).rings()
        call = office.phone(1001).dial("1004")
        office.world.run(until=office.world.now + 2.0)
        ringing = four.received[0]
        assert info(office, ringing) == 415
        call.hang_up()
        office.run()


def test_a_reload_counts_for_new_calls(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call, other = talk(office)
        loaded = config.parse(without("tenant"), environ={})
        tenants = [replace(each, trunks=()) if each.domain == DOMAIN else each for each in loaded.tenants]
        office.directory.swap(Directory(tenants, default_tenant=DOMAIN, media=loaded.server))
        assert info(office, call) == 200, "as it was when the call began"
        call.hang_up()
        office.run()
        again = call.phone.dial("1004")
        office.world.run(until=office.world.now + 3.0)
        assert info(office, again) == 415
        again.hang_up()
        office.run()
    assert other.is_over
