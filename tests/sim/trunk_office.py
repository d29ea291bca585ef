"""A tenant with trunks in a simulated world: phones inside, carriers outside, numbers that begin with 9 go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from pbx.directory import Directory, LiveDirectory
from pbx.tenants import ExtensionConfig, TenantConfig, ha1_of
from pbx.trunk_config import TrunkAddress, TrunkConfig
from pbx.trunks import Trunks
from sipcore.guard import Guard
from voipat import App, Call, Registrar, TrunkIdentity, events
from voipat.testing import Phone, SimWorld

DOMAIN = "office.test"


def trunk(name: str, host: str = "", **keys: Any) -> TrunkConfig:
    """A trunk; without a host a phone of the world plays the other side."""
    return TrunkConfig(name, host, **{"domain": "carrier.test", "caller_id": "+12025550100", "options_s": 0.0, **keys})


class TrunkOffice:
    """`carriers` are phones of the world that play the other side of each trunk, by name."""

    def __init__(self, trunks: Sequence[TrunkConfig], *, seed: int = 1, **conditions: float) -> None:
        self.events: list[events.Event] = []
        self.identities: list[TrunkIdentity] = []
        self.carriers: dict[str, Phone] = {}
        # Calls from trunks are forwarded out by these, one each, instead of ringing 1001.
        self.forwards: list[str] = []
        # Those without a host are played by the first phones of the world, whose hosts are given in order.
        self.played = [config.name for config in trunks if not config.host]
        hosts = {name: f"10.0.0.{number}" for number, name in enumerate(self.played, 1)}
        self.configs = [_played(config, hosts[config.name]) if config.name in hosts else config for config in trunks]
        self.app: App
        self.trunks: Trunks
        self.world = SimWorld(self._make_app, seed=seed, **conditions)

    def __enter__(self) -> TrunkOffice:
        self.world.__enter__()
        for name in self.played:
            self.carriers[name] = self.world.phone("sip:carrier@carrier.test", password="", name=name)
        return self

    def __exit__(self, *exception: object) -> None:
        self.world.__exit__(*exception)  # type: ignore[arg-type]  # passed through
        if exception[0] is None:
            assert [row["calls"] for row in self.trunks.status()] == [0] * len(self.configs), "every place is back"

    def phone(self, number: int = 1001) -> Phone:
        return self.world.phone(f"sip:{number}@{DOMAIN}", password=f"pass-{number}")

    def _make_app(self, world: SimWorld) -> App:
        numbers = ("1001", "1002")
        ha1s = {number: (("MD5", ha1_of(number, DOMAIN, f"pass-{number}", "MD5")),) for number in numbers}
        extensions = {number: ExtensionConfig(number, digest=("MD5",), ha1=ha1s[number]) for number in numbers}
        tenant = TenantConfig(DOMAIN, digest=("MD5",), extensions=extensions, trunks=tuple(self.configs))
        self.app = App(
            listen=("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"),
            registrar=Registrar(accounts=LiveDirectory(Directory([tenant], default_tenant=DOMAIN))),
            engine=world.engine,
            entropy=world.server_entropy,
            wallclock=world.wallclock,
            network=world.network,
            guard=Guard(),
        )
        self.trunks = Trunks(world.server_entropy)
        self.trunks.configure([tenant])
        self.trunks.attach(self.app)
        self.app.subscribe(self.events.append)
        self.app.on_call("*")(self.handle)
        world.watch("voipat", self.app.endpoint)
        return self.app

    async def handle(self, call: Call) -> None:
        """9 + number goes out by every trunk, what comes from a trunk rings 1001, the rest is an extension."""
        identity = call.identity
        if isinstance(identity, TrunkIdentity):
            self.identities.append(identity)
            if self.forwards:
                out = [self.forwards.pop(0)]
                await call.bridge(await self.trunks.dial(call, out, "+4915112345678", timeout=20.0))
                return
            with self.trunks.inbound(call):
                await call.bridge(await call.dial("1001", timeout=20.0))
        elif call.callee.startswith("9"):
            names = [config.name for config in self.configs]
            await call.bridge(await self.trunks.dial(call, names, call.callee[1:], timeout=20.0))
        else:
            await call.bridge(await call.dial(call.callee, timeout=20.0))


def _played(config: TrunkConfig, host: str) -> TrunkConfig:
    return replace(config, host=host, addresses=config.addresses or (TrunkAddress(ip_network(host), 5060),))
