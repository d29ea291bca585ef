"""What the PBX asks of a store: records, and the Protocols that the embedded and a clustered one implement.

Everything that belongs to a tenant is reached through `Store.tenant(domain)`, never by a global query
(architecture, principle 9). Verbs that write return at once and say whether the queue took the row; verbs that
read block on the disk and belong in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Literal, NamedTuple, Protocol

from pbx.tenant_changes import TenantChanges
from pbx.tenants import TenantConfig
from sipcore.values import made_in_c, value_object

MAX_QUERY_ROWS: Final = 10_000
DEFAULT_QUERY_ROWS: Final = 100

LegName = Literal["a", "b"]


@made_in_c
class BindingRecord(NamedTuple):
    """One contact of one AOR. `key` tells it from the AOR's others; `fields` is JSON-able and the registrar's own."""

    aor: str
    key: str
    contact: str
    expires_at: float
    fields: Mapping[str, Any]


class SubscriptionRecord(NamedTuple):
    """Who watches what: `id` is our tag in the dialog, `fields` is JSON-able and `voipat`'s own."""

    id: str
    expires_at: float
    fields: Mapping[str, Any]


class MessageRecord(NamedTuple):
    """A message or greeting of a mailbox; what was said is in the sealed file of its id."""

    id: str
    mailbox: str
    caller: str
    name: str
    received: float
    seconds: float
    folder: str
    state: str


class MailRecord(NamedTuple):
    """A message that waits to be sent as e-mail: `id` is the message's, times are wallclock seconds."""

    id: str
    mailbox: str
    queued: float
    tries: int
    next_try: float
    problem: str


class TextRecord(NamedTuple):
    """A text message to somebody who is away: `state` is "waiting" or "sending"; what it says is read on its own."""

    id: str
    recipient: str
    sender: str
    received: float
    bytes: int
    state: str


class RecordingRecord(NamedTuple):
    """A recorded call; what was said is in the sealed file of its id."""

    id: str
    linked_id: str
    leg: str
    owner: str
    rule: str
    caller: str
    callee: str
    started: float
    seconds: float
    state: str


class AuditRecord(NamedTuple):
    """Who did what with what of a person's."""

    id: str
    at: float
    actor: str
    action: str
    object: str
    allowed: bool


@made_in_c
class LegRecord(NamedTuple):
    """The CDR of one leg; open while `ended` is None. Times are wallclock seconds."""

    id: str
    linked_id: str
    tenant: str
    leg: LegName
    direction: str
    caller: str
    callee: str
    started: float
    call_id: str
    answered: float | None = None
    ended: float | None = None
    duration_s: float | None = None
    billable_s: float | None = None
    disposition: str | None = None
    hangup_by: str | None = None
    cause_sip: int | None = None
    cause_q850: int | None = None
    cause_id: str | None = None
    recording: str | None = None
    mos: float | None = None
    codec: str | None = None
    packets: int | None = None
    loss: float | None = None
    jitter: float | None = None
    loss_out: float | None = None
    jitter_out: float | None = None
    mos_out: float | None = None
    rtt: float | None = None
    crypto: str | None = None
    route: str | None = None
    beside: str | None = None


@value_object(frozen=True, slots=True)
class RecordingFilter:
    """Which recordings, newest first. `before` is the (started, id) of the last row of the page before."""

    since: float | None = None
    until: float | None = None
    owner: str | None = None
    linked_id: str | None = None
    state: str | None = None
    limit: int = DEFAULT_QUERY_ROWS
    before: tuple[float, str] | None = None


@value_object(frozen=True, slots=True)
class CdrFilter:
    """Which CDRs, newest first. `before` is the (started, id) of the last row of the page before (keyset)."""

    since: float | None = None
    until: float | None = None
    caller: str | None = None
    callee: str | None = None
    disposition: str | None = None
    limit: int = DEFAULT_QUERY_ROWS
    before: tuple[float, str] | None = None
    under_way: bool = False  # calls that have not ended too


@value_object(frozen=True, slots=True)
class StoreHealth:
    """Counters of the writer; `error` is the reason why it is retrying now, None when all is well."""

    pending: int = 0
    committed_rows: int = 0
    commits: int = 0
    failures: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)  # by table: the queue was full
    dropped: Mapping[str, int] = field(default_factory=dict)  # by table: the database would never take the row
    error: str | None = None


class TenantReader(Protocol):
    """What can be read of one tenant. Every verb blocks on the disk."""

    domain: str

    def load_bindings(self) -> list[BindingRecord]: ...

    def load_subscriptions(self) -> list[SubscriptionRecord]: ...

    def load_state(self) -> list[tuple[str, str, str]]:
        """What was set by hand: (owner, key, value)."""
        ...

    def load_messages(self) -> list[MessageRecord]: ...

    def load_outbox(self) -> list[MailRecord]: ...

    def load_texts(self) -> list[TextRecord]:
        """Every text message that waits, oldest first."""
        ...

    def recordings(self, wanted: RecordingFilter) -> list[RecordingRecord]: ...

    def recording(self, recording_id: str) -> RecordingRecord | None: ...

    def audit(self, *, since: float, limit: int) -> list[AuditRecord]:
        """What was done since, newest first."""
        ...

    def calls(self, wanted: CdrFilter) -> list[list[LegRecord]]:
        """The legs of each call, its first leg in front."""
        ...

    def legs(self, wanted: CdrFilter) -> list[LegRecord]: ...


class TenantStore(TenantReader, Protocol):
    """One tenant's part of the store. The verbs that write never block; False: the queue is full, counted."""

    def save_binding(self, binding: BindingRecord) -> bool: ...

    def remove_binding(self, aor: str, key: str) -> bool: ...

    def save_subscription(self, subscription: SubscriptionRecord) -> bool: ...

    def remove_subscription(self, subscription_id: str) -> bool: ...

    def save_state(self, owner: str, key: str, value: str | None) -> bool: ...

    def save_message(self, message: MessageRecord) -> bool: ...

    def remove_message(self, message_id: str) -> bool: ...

    def save_mail(self, mail: MailRecord) -> bool: ...

    def remove_mail(self, message_id: str) -> bool: ...

    def text(self, message_id: str) -> str | None:
        """What a text message says, as it was saved. Blocks. Raises: SecretError."""
        ...

    def save_text(self, message: TextRecord, content: str) -> bool: ...

    def remove_text(self, message_id: str) -> bool: ...

    def save_recording(self, recording: RecordingRecord) -> bool: ...

    def remove_recording(self, recording_id: str) -> bool: ...

    def save_audit(self, record: AuditRecord) -> bool: ...

    def save_leg(self, leg: LegRecord) -> bool: ...

    def discard_leg(self, leg_id: str) -> bool: ...


class Store(Protocol):
    """Everything that survives a restart."""

    def tenant(self, domain: str) -> TenantStore: ...

    def domains(self) -> Sequence[str]:
        """Every domain that has data here, configured or not. Blocks."""
        ...

    def save_tenants(self, tenants: Sequence[TenantConfig]) -> TenantChanges:
        """Make the store's tenants exactly these. Blocks."""
        ...

    def load_tenants(self) -> tuple[TenantConfig, ...]: ...

    def remove_cdrs(self, *, before: float, limit: int, before_of: Mapping[str, float] = ...) -> int: ...

    def remove_audit(self, *, before: float, limit: int) -> int: ...

    def remove_expired_bindings(self, wallclock: float, *, limit: int) -> int: ...

    def mark_alive(self) -> None:
        """Note the wallclock: calls that a crash cuts off ended no earlier. Does not block."""
        ...

    def mark_clock_set(self, wallclock: float) -> None:
        """Note that the clock was set, to this: open legs say how long they had lasted until then. Does not block."""
        ...

    def health(self) -> StoreHealth: ...

    def flush(self, timeout: float) -> bool:
        """Wait until everything written so far is durable; False when it took longer. Blocks."""
        ...

    def close(self, timeout: float) -> bool:
        """Commit what is pending; False when not all of it could be. Blocks."""
        ...
