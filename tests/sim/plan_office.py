"""The office of the example in a simulated world: its real configuration, its trunk played by a phone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from pbx import config, rates
from pbx.calls import Switchboard
from pbx.directory import Directory, LiveDirectory
from pbx.hours_lamps import HoursLamps
from pbx.lamps import Lamps
from pbx.tenant_state import LiveState
from pbx.trunk_config import TrunkAddress, TrunkConfig
from pbx.trunks import Trunks
from sipcore.guard import Guard
from voipat import App, Registrar, events
from voipat.testing import Phone, PhoneCall, SimWorld

EXAMPLE = (Path(__file__).parents[2] / "examples" / "office.toml").read_text()
DOMAIN = "office.test"


class PlanOffice:
    """`carrier` is the other side of the trunk and calls as `outside`; `ends` is how first legs ended."""

    def __init__(
        self, text: str = EXAMPLE, *, seed: int = 1, state: LiveState | None = None, outside: str = "carrier"
    ) -> None:
        self._outside = outside
        loaded = config.parse(text, environ={})
        tenants = [replace(tenant, trunks=tuple(map(_played, tenant.trunks))) for tenant in loaded.tenants]
        known = Directory(tenants, default_tenant=DOMAIN, media=loaded.server, rates=rates.load(loaded.tenants))
        self.directory = LiveDirectory(known)
        self.state = state or LiveState()
        self.told: list[events.Event] = []
        self.trunks: Trunks
        self.board: Switchboard
        self.app: App
        self.carrier: Phone
        self.world = SimWorld(self._make_app, seed=seed)

    def __enter__(self) -> PlanOffice:
        self.world.__enter__()
        # Hosts are given in order: the first is the trunk's.
        self.carrier = self.world.phone(f"sip:{self._outside}@carrier.test", password="", name="carrier")
        return self

    def __exit__(self, *exception: object) -> None:
        self.world.__exit__(*exception)  # type: ignore[arg-type]  # passed through
        if exception[0] is None:
            assert (self.board.admission.calls, self.world.leaks()) == (0, [])

    def phone(self, number: int, domain: str = DOMAIN, *, password: str = "") -> Phone:
        """A registered phone."""
        secret = password or f"{'shop' if domain == 'shop.test' else 'pass'}-{number}"
        phone = self.world.phone(f"sip:{number}@{domain}", password=secret).register(refresh=False)
        self.world.run(until=self.world.now + 0.2)
        return phone

    def run(self) -> None:
        self.world.run()

    def calls_in(self, did: str) -> PhoneCall:
        """A call that the carrier brings."""
        return self.carrier.dial(f"sip:{did}@127.0.0.1")

    @property
    def ends(self) -> list[tuple[str, int, str]]:
        """(disposition, status, reason) of each first leg."""
        found = [event for event in self.told if isinstance(event, events.CallEnded) and event.leg == "a"]
        return [(end.disposition, end.cause.sip, end.cause.id) for end in found]

    @property
    def ended(self) -> list[events.CallEnded]:
        """Each leg, as it ended."""
        return [event for event in self.told if isinstance(event, events.CallEnded)]

    @property
    def rung(self) -> list[str]:
        """Who was called, in order."""
        return [event.callee for event in self.told if isinstance(event, events.CallStarted) and event.leg == "b"]

    def _make_app(self, world: SimWorld) -> App:
        self.app = App(
            listen=("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"),
            registrar=Registrar(accounts=self.directory),
            engine=world.engine,
            entropy=world.server_entropy,
            wallclock=world.wallclock,
            network=world.network,
            guard=Guard(),
            leg_media=self.directory.media_of,
        )
        self.trunks = Trunks(world.server_entropy, self.directory.media_of_trunk)
        self.trunks.configure(self.directory.current.tenants.values())
        self.board = Switchboard(self.directory, trunks=self.trunks, state=self.state, chance=world.server_entropy)
        self.trunks.attach(self.app)
        self.board.attach(self.app)
        lamps = Lamps(self.directory)
        lamps.attach(self.app)
        lamps.follow(self.board.desk.parking)
        lamps.follow_people(self.board.desk.hot_desks)
        self.app.add_service(HoursLamps(self.directory, self.state, lamps))
        self.app.subscribe(self.told.append)
        world.watch("voipat", self.app.endpoint)
        return self.app


def _played(trunk: TrunkConfig) -> TrunkConfig:
    place = (TrunkAddress(ip_network("10.0.0.1"), 5060),)
    return replace(trunk, host="10.0.0.1", port=None, addresses=place, options_s=0.0)
