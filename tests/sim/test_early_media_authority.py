"""P-Early-Media (RFC 5009): what a carrier sends before the answer is heard as its trunk's `early_media` says."""

from __future__ import annotations

import pytest

from tests.sim.test_trunk_calls import invites
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat.testing import PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

HEARD, SILENT = [("P-Early-Media", "sendrecv")], [("P-Early-Media", "inactive")]


class Carrier:
    """A carrier that rings, and says what the test wants it to."""

    def __init__(self, rule: str, seed: int) -> None:
        self.office = TrunkOffice([trunk("one", early_media=rule)], seed=seed)

    def __enter__(self) -> Carrier:
        self.office.__enter__()
        self.carrier = self.office.carriers["one"]
        self.carrier.manners = self.carrier.manners.__class__(ring_after=None)
        self.call = self.office.phone().register().dial("9123456", after=1.0)
        self.run(1.5)
        self.taken: PhoneCall = self.carrier.received[0]
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.taken.answer()
            self.run(1.0)
            self.call.hears(self.carrier.tone).hangs_up(after=1.0)
            self.office.world.run()
            assert self.call.was_answered and not self.call.unmet and self.office.world.leaks() == []
        self.office.__exit__(*exception)

    def run(self, seconds: float) -> None:
        self.office.world.run(until=self.office.world.now + seconds)

    def says(self, status: int, *headers: tuple[str, str], media: bool = False) -> None:
        """One provisional response, and the time to hear what comes of it."""
        body, invite, carrier = b"", self.taken._invite, self.carrier
        assert invite is not None
        if media:
            found = self.taken._maybe_answer_sdp()
            assert found is not None
            body = found
            self.taken._start_talking()
        kind = (("Content-Type", "application/sdp"),) if body else ()
        carrier._execute(
            lambda now: carrier.endpoint.respond(invite, status, now, headers=(*headers, *kind), body=body)
        )
        self.run(1.0)

    @property
    def told(self) -> list[tuple[int, bool]]:
        """The provisional responses that the caller got, and whether they describe media."""
        return [(each.status, bool(each.body)) for each in self.call.responses if 100 < each.status < 200]

    def is_heard(self) -> bool:
        self.run(0.5)
        return self.call.heard.hears(self.carrier.tone, since=self.office.world.now - 0.4)


def test_by_itself_a_trunk_is_heard_as_it_sends(seed: int) -> None:
    with Carrier("pass", seed) as carrier:
        assert "P-Early-Media" not in invites(carrier.office, "one")[0].headers
        carrier.says(183, *SILENT, media=True)
        assert carrier.told == [(183, True)] and carrier.is_heard()


def test_a_trunk_that_is_never_heard_rings(seed: int) -> None:
    with Carrier("none", seed) as carrier:
        carrier.says(183, *HEARD, media=True)
        assert carrier.told == [(180, False)] and not carrier.is_heard()


def test_without_a_word_of_authority_a_description_is_ringing(seed: int) -> None:
    with Carrier("authorized", seed) as carrier:
        assert invites(carrier.office, "one")[0].headers.get("P-Early-Media") == "supported"
        carrier.says(183, media=True)
        assert carrier.told == [(180, False)] and not carrier.is_heard()


@pytest.mark.parametrize("value", ["sendrecv", "SendOnly", "inactive,recvonly", "recvonly", "gated", ""])
def test_the_direction_for_the_audio_decides(seed: int, value: str) -> None:
    with Carrier("authorized", seed) as carrier:
        carrier.says(183, ("P-Early-Media", value), media=True)
        is_heard = value.lower().startswith("send")
        assert carrier.told[-1] == ((183, True) if is_heard else (180, False)) and carrier.is_heard() is is_heard


def test_what_was_said_last_counts_and_no_word_changes_nothing(seed: int) -> None:
    with Carrier("authorized", seed) as carrier:
        carrier.says(183, *SILENT, media=True)
        assert carrier.told == [(180, False)] and not carrier.is_heard()
        carrier.says(180, *HEARD)
        assert carrier.told[-1] == (183, True) and carrier.is_heard()
        carrier.says(180)
        assert carrier.is_heard(), "nothing was said of it"
        carrier.says(183, *SILENT)
        assert carrier.told[-1][0] == 180 and not carrier.is_heard()
        carrier.says(183, *HEARD)
        assert carrier.is_heard()


@pytest.mark.parametrize(
    ("rule", "asks", "says"), [("authorized", True, True), ("authorized", False, False), ("pass", True, False)]
)
def test_a_carrier_that_calls_is_told_when_it_asks(seed: int, rule: str, asks: bool, says: bool) -> None:
    with TrunkOffice([trunk("one", early_media=rule, dids=("+12025550100",))], seed=seed) as office:
        phone = office.phone(1001).register().answers(after=2.0, early_media=True)
        office.world.run(until=1.0)
        headers = [("P-Early-Media", "supported")] if asks else []
        call = office.carriers["one"].dial("sip:+12025550100@127.0.0.1:5060", headers=headers).hears(phone.tone)
        call.hangs_up(after=1.0)
        office.world.run()
        said = [each.headers.get("P-Early-Media") for each in call.responses if 100 < each.status < 200]
        assert said and set(said) == ({"sendrecv"} if says else {None})
        assert call.was_answered and all(
            "P-Early-Media" not in each.headers for each in call.responses if each.status == 200
        )


def test_an_update_in_the_early_dialog_may_say_so_too(seed: int) -> None:
    with Carrier("authorized", seed) as carrier:
        carrier.says(183, *SILENT, media=True)
        dialog = carrier.taken.dialog
        assert dialog is not None
        statuses: list[int] = []
        carrier.carrier.request_in(dialog, "UPDATE", statuses.append, headers=HEARD)
        carrier.run(1.0)
        assert statuses == [200] and carrier.told[-1] == (183, True) and carrier.is_heard()
