"""The contract's second tenant by two linphones, which take SHA-256 where MD5 is offered beside it: they reach each
other and nothing of the first tenant, whose 1001 and 1002 are there under the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from pbx import control
from tests.contract.ladder import ladder_of
from tests.contract.scenarios import SECOND_TENANT, SHOP, Scenario, user_of
from tests.contract.sounds import is_heard, timeline
from tests.interop.baresip import Baresip
from tests.interop.linphone import Linphone
from tests.interop.test_contract import compare_or_keep

pytestmark = pytest.mark.interop

TONES = {f"1001@{SHOP}": 1500, f"1002@{SHOP}": 1900}


class TwoTenants:
    """A server on the example, a linphone at each of the shop's numbers and a baresip at the office's."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.server = Server(directory / "server")
        stack.callback(self.server.close)
        self.office, self.shop = [], {}
        for user, frequency in TONES.items():
            number = user_of(user)
            place = {"server": self.server.address, "user": number, "frequency": float(frequency)}
            phone = Linphone(
                directory / user, password=f"shop-{number}", port=free_port(), domain=SHOP, **place
            )  # fmt: skip
            self.shop[user] = stack.enter_context(closing(phone))
            other = Baresip(directory / number, password=f"pass-{number}", port=free_port(run=5), **place)
            self.office.append(stack.enter_context(closing(other)))
        for each in (*self.office, *self.shop.values()):
            each.wait_registered()

    def play(self, scenario: Scenario) -> tuple[list[str], str]:
        """What the caller heard, and the ladder of its call."""
        (dials,) = scenario.dials
        caller, before = self.shop[dials.user], self._traces()
        caller.mark()
        caller.dial(dials.number)
        for act in scenario.acts:
            self.shop[act.user].answer()
        heard: list[str] = []
        if dials.stays is not None:
            caller.wait_talking()

            def is_all_heard() -> bool:
                heard[:] = timeline(caller.heard(), TONES)
                return is_heard(dials.hears, heard)

            wait_until(is_all_heard, dials.stays + 10, f"{dials.user} hears {dials.hears}")
            caller.hang_up()
        caller.wait_no_call()
        new = wait_until(lambda: self._traces().keys() - before.keys(), 10, "the trace of the call is complete")
        (found,) = new
        return heard, ladder_of(control.request(self.server.data, "trace", {"call": found, "messages": True}))

    def _traces(self) -> dict[str, object]:
        """Those that are complete."""
        rows = control.request(self.server.data, "trace", {"limit": 50})
        return {str(row["id"]): row for row in rows if row["fate"] != "live"}


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenants]:
    with ExitStack() as stack:
        yield TwoTenants(tmp_path_factory.mktemp("tenants"), stack)


@pytest.mark.parametrize("scenario", SECOND_TENANT, ids=lambda each: each.name)
def test_the_second_tenant_reaches_its_own_and_nothing_else(tenants: TwoTenants, scenario: Scenario) -> None:
    _, ladder = tenants.play(scenario)
    compare_or_keep(scenario.name, 0, ladder)
    assert [phone.seen("CALL_INCOMING") for phone in tenants.office] == [[], []]


def test_its_phones_log_in_by_sha_256(tenants: TwoTenants) -> None:
    for phone in tenants.shop.values():
        assert 'realm="shop.test"' in phone.log() and "algorithm=MD5" in phone.log(), "both are offered"
        assert "Authorization: " in phone.log() and "algorithm=SHA-256" in phone.log().partition("Authorization: ")[2]


def test_the_command_line_shows_each_tenant_its_own(tenants: TwoTenants) -> None:
    rows = tenants.server.rows("registrations")
    assert {row["tenant"] for row in rows} == {SHOP, "office.test"}
    for domain in (SHOP, "office.test"):
        of_one = tenants.server.rows("registrations", "--tenant", domain)
        assert len(of_one) == 2 and {row["tenant"] for row in of_one} == {domain}
