"""Our registration at a carrier that is voipat too: with credentials, calls both ways, over faults, taken back."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sipcore.flow import Address, Flow
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat import App, Call, Registrar, events
from voipat.testing import SimWorld

pytestmark = pytest.mark.usefixtures("nothing_left")

CARRIER = "10.200.0.1"


class Carrier:
    """A second App in the world: the registrar of the domain carrier.test, whose user `office` is our trunk."""

    def __init__(self, world: SimWorld, *, password: str = "a long secret", domain: str = "carrier.test") -> None:
        self.world = world
        self.connects = False
        self.registrar = Registrar(domain, password_of={"office": password}.get)
        self.app = App(
            listen=f"udp://{CARRIER}:5060",
            media=f"{CARRIER}:30000-30100",
            registrar=self.registrar,
            engine=world.engine,
            entropy=world.entropy_of("carrier"),
            wallclock=world.wallclock,
            network=world.network,
        )
        world.network.name(CARRIER, "carrier")
        self.app.on_call("*")(self._answer)
        self._stop = asyncio.Event()
        self._task = world.loop.create_task(self._serve(), name="carrier")
        world._baseline |= {self._task}

    async def _serve(self) -> None:
        async with self.app:
            await self._stop.wait()

    async def _answer(self, call: Call) -> None:
        if self.connects:
            await call.bridge(await call.dial("office", timeout=10.0))
            return
        await call.answer()
        await call.hung_up()

    def close(self) -> None:
        self._stop.set()
        self.world.loop.run_until_complete(self._task)

    @property
    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.registrar.lookup("carrier.test", "office")]


def office(seed: int, **keys: object) -> TrunkOffice:
    told = {
        "username": "office",
        "password": "a long secret",
        "realm": "carrier.test",
        "register": True,
        "caller_id": "",
        **keys,
    }
    return TrunkOffice([trunk("carrier", CARRIER, **told)], seed=seed)


def registration(found: TrunkOffice) -> object:
    return found.trunks.status()[0]["registration"]


def test_a_trunk_registers_refreshes_and_takes_it_back_at_the_end(seed: int) -> None:
    with office(seed, register_s=120) as ours:
        carrier = Carrier(ours.world)
        ours.world.run(until=10.0)
        assert registration(ours) == "registered"
        [contact] = carrier.contacts
        assert contact.startswith("sip:") and contact.endswith("@127.0.0.1:5060")
        ours.world.run(until=1000.0)
        assert registration(ours) == "registered" and carrier.contacts == [contact]
        ours.world.loop.run_until_complete(ours.trunks.stop())
        assert carrier.contacts == []
        carrier.close()


def test_a_call_goes_out_with_credentials_for_the_same_call(seed: int) -> None:
    with office(seed) as ours:
        carrier = Carrier(ours.world)
        call = ours.phone().register().dial("9123456", after=2.0).hangs_up(after=1.0)
        ours.world.run()
        assert call.was_answered
        sent = [
            rung.data
            for rung in ours.world.network.ladder
            if rung.kind == "INVITE" and rung.destination.host == CARRIER
        ]
        assert len({data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0] for data in sent}) == 1
        assert b"Authorization: Digest" not in sent[0] and b"Authorization: Digest" in sent[-1]
        carrier.close()


def test_the_carrier_calls_the_registered_contact_and_is_known_by_where_it_answered_from(seed: int) -> None:
    with office(seed) as ours:
        carrier = Carrier(ours.world)
        ours.phone(1001).register().answers(after=0.5, hangs_up_after=1.0)
        ours.world.run(until=5.0)
        caller = ours.world.phone("sip:office@carrier.test", password="a long secret", name="outside")
        caller._server = Flow("UDP", caller.address, Address(CARRIER, 5060))
        carrier.connects = True
        call = caller.dial("sip:+12025550100@carrier.test", after=1.0)
        ours.world.run()
        assert call.was_answered
        [identity] = ours.identities
        assert identity.trunk == "carrier"
        carrier.close()


def test_a_wrong_password_is_given_up_after_three_tries_with_one_line_that_says_so(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pbx.trunks"), office(seed) as ours:
        carrier = Carrier(ours.world, password="another one")
        ours.world.run(until=7200.0)
        assert registration(ours) == "stopped" and carrier.contacts == []
        sent = [rung for rung in ours.world.network.ladder if rung.kind == "REGISTER"]
        assert len(sent) == 6, "three times: asked, challenged, refused"
        assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
            "trunk refuses our credentials, not tried again until a reload"
        ]
        told = [event for event in ours.events if isinstance(event, events.TrunkRegistered)]
        assert [(event.trunk, event.state, event.status) for event in told] == [
            ("carrier", "waiting", 401),
            ("carrier", "stopped", 401),
        ]
        carrier.close()


def test_a_realm_that_is_not_ours_gets_no_credentials(seed: int) -> None:
    with office(seed, domain="evil.test", realm="carrier.test") as ours:
        carrier = Carrier(ours.world, domain="evil.test")
        ours.world.run(until=600.0)
        call = ours.phone().register().dial("9123456", after=1.0)
        ours.world.run(until=700.0)
        assert call.status == 503
        assert not any(
            b"Authorization:" in rung.data for rung in ours.world.network.ladder if rung.destination.host == CARRIER
        )
        carrier.close()


def test_a_carrier_that_comes_back_after_an_hour_has_us_again(seed: int) -> None:
    with office(seed, register_s=300) as ours:
        carrier = Carrier(ours.world)
        ours.world.run(until=10.0)
        ours.world.network.cut_off("carrier")
        ours.world.run(until=3600.0)
        assert registration(ours) in ("waiting", "registering")
        ours.world.network.restore("carrier")
        ours.world.run(until=3600.0 + 2000.0)
        assert registration(ours) == "registered" and len(carrier.contacts) == 1
        carrier.close()
