"""The real PBX in a simulated world: its directory, registrar, switchboard and CDRs, on virtual time.

Only the edges are of the kit: the network, the engine's clock, entropy by seed, and a store that keeps rows in memory.
"""

from __future__ import annotations

from collections import defaultdict

from pbx.calls import Switchboard
from pbx.cdr import Cdr, CdrWriter, call_view
from pbx.directory import Directory, LiveDirectory
from pbx.lamps import Lamps, Mailboxes
from pbx.objects.features import FeaturesConfig
from pbx.objects.people import Mailbox
from pbx.objects.plan import Plan, Settings
from pbx.persistence import BindingKeeper, CdrListener, StoredSubscriptions, restore_bindings
from pbx.store.base import BindingRecord, CdrFilter, LegRecord, SubscriptionRecord, TextRecord
from pbx.tenants import ExtensionConfig, TenantConfig, ha1_of
from pbx.waiting_messages import WaitingMessages
from sipcore.guard import Guard
from voipat import App, KeepAlivePolicy, Registrar, events
from voipat.location import MemoryLocation
from voipat.testing import Phone, SimWorld

DOMAIN = "office.test"
FIRST_EXTENSION = 1001


class MemoryStore:
    """The rows of one tenant, last state by id."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.rows: dict[str, LegRecord] = {}
        self.texts: dict[str, tuple[TextRecord, str]] = {}
        self.bindings: dict[tuple[str, str], BindingRecord] = {}
        self.subscriptions: dict[str, SubscriptionRecord] = {}

    def tenant(self, domain: str) -> MemoryStore:
        return self

    def mark_alive(self) -> None: ...

    def mark_clock_set(self, wallclock: float) -> None: ...

    def save_binding(self, binding: BindingRecord) -> bool:
        self.bindings[binding.aor, binding.key] = binding
        return True

    def remove_binding(self, aor: str, key: str) -> bool:
        self.bindings.pop((aor, key), None)
        return True

    def load_bindings(self) -> list[BindingRecord]:
        return list(self.bindings.values())

    def save_subscription(self, subscription: SubscriptionRecord) -> bool:
        self.subscriptions[subscription.id] = subscription
        return True

    def remove_subscription(self, subscription_id: str) -> bool:
        self.subscriptions.pop(subscription_id, None)
        return True

    def load_subscriptions(self) -> list[SubscriptionRecord]:
        return list(self.subscriptions.values())

    def load_state(self) -> list[tuple[str, str, str]]:
        return []

    def save_state(self, owner: str, key: str, value: str | None) -> bool:
        return True

    def load_texts(self) -> list[TextRecord]:
        return sorted((record for record, _ in self.texts.values()), key=lambda each: each.received)

    def text(self, message_id: str) -> str | None:
        return self.texts[message_id][1] if message_id in self.texts else None

    def save_text(self, message: TextRecord, content: str) -> bool:
        self.texts[message.id] = message, content
        return True

    def remove_text(self, message_id: str) -> bool:
        self.texts.pop(message_id, None)
        return True

    def flush(self, timeout: float = 5.0) -> bool:
        return True

    def save_leg(self, leg: LegRecord) -> bool:
        self.rows[leg.id] = leg
        return True

    def discard_leg(self, leg_id: str) -> bool:
        self.rows.pop(leg_id, None)
        return True

    def calls(self, wanted: CdrFilter) -> list[list[LegRecord]]:
        """The legs of each call, its first leg in front, oldest call first."""
        by_call: dict[str, list[LegRecord]] = defaultdict(list)
        for leg in self.rows.values():
            by_call[leg.linked_id].append(leg)
        return [sorted(legs, key=lambda leg: (leg.id != leg.linked_id, leg.started)) for legs in by_call.values()]

    def legs(self, wanted: CdrFilter) -> list[LegRecord]:
        return list(self.rows.values())


class Office:
    """One office: `world` has its phones, `cdrs` its calls, `refused` what never authenticated.

    Without `music` a phone that holds says so to the other one, through the server.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        extensions: int = 10,
        ring_s: float = 30.0,
        keepalive: KeepAlivePolicy | None = None,
        mailboxes: Mailboxes | None = None,
        music: str = "",
        messages_kept: int = 0,
        **conditions: float,
    ) -> None:
        self.store = MemoryStore(DOMAIN)
        self.cdr_writer = CdrWriter(self.store)
        self.refused: list[events.RequestRefused] = []
        self.reachability: list[events.BindingUnreachable | events.BindingReachable] = []
        self.keepalive = keepalive
        self.directory = LiveDirectory(
            _directory(
                extensions, ring_s, has_mailboxes=mailboxes is not None, music=music, messages_kept=messages_kept
            )
        )
        self.switchboard = Switchboard(self.directory)
        self._mailboxes = mailboxes
        self.lamps = Lamps(self.directory, mailboxes) if mailboxes is not None else None
        self.waiting: WaitingMessages | None = None
        self._keeps_messages = messages_kept > 0
        self.app: App
        self.world = SimWorld(self._make_app, seed=seed, **conditions)

    def __enter__(self) -> Office:
        self.world.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.world.__exit__(*exception)  # type: ignore[arg-type]  # passed through
        if exception[0] is None:
            assert self.cdr_writer.open_legs == 0, "every CDR is complete at the end"
            assert self.switchboard.admission.calls == 0, "every place is given back"

    def restart(self) -> None:
        """The process ends and starts again with what its store has."""
        self.switchboard = Switchboard(self.directory)
        self.lamps = None if self._mailboxes is None else Lamps(self.directory, self._mailboxes)
        self.world.restart(self._make_app)

    def phone(self, number: int, *, password: str | None = None, transport: str = "UDP") -> Phone:
        """A phone of an extension with its right password, unless told otherwise."""
        uri = f"sip:{number}@{DOMAIN}"
        return self.world.phone(uri, password=password or f"pass-{number}", transport=transport)

    def phones(self, count: int) -> list[Phone]:
        """Registered phones of the first extensions."""
        phones = [self.phone(FIRST_EXTENSION + index).register() for index in range(count)]
        self.world.run(until=self.world.now + 1.0)
        return phones

    @property
    def cdrs(self) -> list[Cdr]:
        """One per call, oldest first."""
        return [call_view(legs) for legs in self.store.calls(CdrFilter())]

    def outcome(self, index: int = -1) -> tuple[str | None, int | None, str | None, str | None]:
        """(disposition, SIP status, reason id, who hung up) of a call's CDR."""
        cdr = self.cdrs[index]
        return cdr.disposition, cdr.cause.sip, cdr.cause.id, cdr.hangup_by

    def _make_app(self, world: SimWorld) -> App:
        location = MemoryLocation(BindingKeeper(self.store))
        restore_bindings(location, self.store, [DOMAIN], world.wallclock())
        self.app = App(
            listen=("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"),
            registrar=Registrar(accounts=self.directory, location=location, keepalive=self.keepalive),
            engine=world.engine,
            entropy=world.server_entropy,
            wallclock=world.wallclock,
            network=world.network,
            guard=Guard(),
            leg_media=self.directory.media_of,
            subscriptions=StoredSubscriptions(self.store, [DOMAIN]),
        )
        self.app.subscribe(CdrListener(self.cdr_writer))
        self.app.subscribe(self._note)
        self.switchboard.attach(self.app)
        if self.lamps is not None:
            self.lamps.attach(self.app)
        if self._keeps_messages:
            entropy = world.entropy_of("waiting messages")
            self.waiting = WaitingMessages(
                self.store, self.directory, wallclock=world.wallclock, random_bytes=entropy.bytes
            )
            self.waiting.recover([DOMAIN])
            self.waiting.attach(self.app)
        world.watch("voipat", self.app.endpoint)
        return self.app

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.RequestRefused):
            self.refused.append(event)
        elif isinstance(event, events.BindingUnreachable | events.BindingReachable):
            self.reachability.append(event)


def _directory(extensions: int, ring_s: float, *, has_mailboxes: bool, music: str, messages_kept: int) -> Directory:
    numbers = [str(FIRST_EXTENSION + index) for index in range(extensions)]
    configs = {
        number: ExtensionConfig(
            number,
            digest=("MD5",),
            ring_s=ring_s,
            mailbox=Mailbox() if has_mailboxes else None,
            ha1=(("MD5", ha1_of(number, DOMAIN, f"pass-{number}", "MD5")),),
        )
        for number in numbers
    }
    features, plan = FeaturesConfig(echo="*43"), Plan(Settings(music=music, messages_kept=messages_kept))
    tenant = TenantConfig(DOMAIN, digest=("MD5",), extensions=configs, features=features, plan=plan)
    return Directory([tenant], default_tenant=DOMAIN)
