"""Where the phones are: bindings of RFC 3261 §10, by tenant and address of record.

`MemoryLocation` keeps them in memory; an observer persists what changes and gives it back at the start. Expiry is
wallclock, so that a binding means the same after a restart.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol

from sipcore.flow import Address, Flow
from sipcore.values import value_object
from voipat._aors import AorTable

# In C, where a comprehension would be a call of a function for each REGISTER.
expiry_of: Final[Callable[[Binding], float]] = attrgetter("expires_at")
key_of: Final[Callable[[Binding], str]] = attrgetter("key")


@value_object(frozen=True, slots=True)
class Binding:
    """One contact of an AOR, and the flow it registered on, which is where its calls go (RFC 5626, RFC 3581).

    `flow` has connection 0 when it comes from the store: a stream is opened anew. `instance` and `reg_id` are
    those of RFC 5626, `path` the values of RFC 3327.
    """

    tenant: str
    aor: str
    contact: str
    flow: Flow
    call_id: str
    cseq: int
    expires_at: float
    q: float = 1.0
    user_agent: str = ""
    instance: str = ""
    reg_id: str = ""
    path: tuple[str, ...] = ()
    # Tells it from the AOR's others: the instance and its flow's number, otherwise the contact.
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = f"{self.instance};{self.reg_id}" if self.instance else self.contact
        object.__setattr__(self, "key", key)

    @property
    def received(self) -> str:
        """Where it registered from, as host:port."""
        return str(self.flow.remote)

    @property
    def device(self) -> str:
        """What the flows of one phone have in common (RFC 5626); who registered without `reg-id` has one."""
        return self.instance if self.reg_id else self.key

    @property
    def transport(self) -> str:
        return self.flow.transport

    def to_fields(self) -> dict[str, object]:
        """Everything that `from_fields` needs beside tenant, AOR, contact and expiry; JSON-able.

        What most phones leave out is left out: making and writing this is a tenth of a registration.
        """
        flow = self.flow
        fields: dict[str, object] = {
            "transport": flow.transport,
            "user_agent": self.user_agent,
            "remote": flow.remote,
            "local": flow.local,
            "call_id": self.call_id,
            "cseq": self.cseq,
        }
        if self.q != 1.0:
            fields["q"] = self.q
        if self.instance:
            fields["instance"] = self.instance
        if self.reg_id:
            fields["reg_id"] = self.reg_id
        if self.path:
            fields["path"] = self.path
        return fields

    @classmethod
    def from_fields(cls, tenant: str, aor: str, contact: str, expires_at: float, fields: dict[str, object]) -> Binding:
        """A binding out of the store. Raises: KeyError, TypeError or ValueError when the fields are not ours."""
        flow = flow_of(fields)
        path = fields.get("path", ())
        if not isinstance(path, Sequence):
            raise TypeError("path is no list")
        return cls(
            tenant=tenant,
            aor=aor,
            contact=contact,
            flow=flow,
            call_id=str(fields["call_id"]),
            cseq=int(str(fields["cseq"])),
            expires_at=expires_at,
            q=float(str(fields.get("q", 1.0))),
            user_agent=str(fields.get("user_agent", "")),
            instance=str(fields.get("instance", "")),
            reg_id=str(fields.get("reg_id", "")),
            path=tuple(str(value) for value in path),
        )


def flow_of(fields: Mapping[str, object]) -> Flow:
    """The flow that was written as transport, local and remote. Raises: KeyError or ValueError when it is not ours."""
    return Flow(str(fields["transport"]), _address(fields["local"]), _address(fields["remote"]))


def _address(value: object) -> Address:
    if not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError("an address is a host and a port")
    return Address(str(value[0]), int(str(value[1])))


class LocationObserver(Protocol):
    """Told of every change, after it was made."""

    def binding_saved(self, binding: Binding) -> None: ...

    def binding_removed(self, binding: Binding) -> None: ...


class Location(Protocol):
    """The bindings of every tenant. Every verb answers at once."""

    def bindings(self, tenant: str, aor: str, wallclock: float) -> Sequence[Binding]:
        """Those that have not expired, highest q first, then the newest."""

    def update(self, tenant: str, aor: str, saved: Sequence[Binding], removed: Sequence[Binding]) -> None:
        """Make one REGISTER's changes, all of them."""

    def expire(self, wallclock: float) -> list[Binding]:
        """Forget what has expired, and return it."""

    def next_expiry(self) -> float | None:
        """When `expire` is due."""

    def __iter__(self) -> Iterator[Binding]: ...

    def __len__(self) -> int: ...


@dataclass(slots=True)
class _Aor:
    """The bindings of an AOR, and the time of its one valid entry in the heap of expiries."""

    bindings: tuple[Binding, ...]
    due: float


class MemoryLocation(AorTable):
    """Bindings in this process. `bindings`, which every request asks, is native (`ext/siptext/_aors.pyx`)."""

    def __init__(self, observer: LocationObserver | None = None) -> None:
        super().__init__()
        self._observer = observer
        # One entry for each AOR counts, at or before its earliest expiry: most refreshes do not touch the heap.
        self._expiries: list[tuple[float, tuple[str, str]]] = []
        self._count = 0

    def restore(self, bindings: Iterable[Binding]) -> None:
        """Take bindings out of the store; the observer is not told."""
        for binding in bindings:
            key = (binding.tenant, binding.aor)
            record = self._aors.get(key)
            others = () if record is None else [other for other in record.bindings if other.key != binding.key]
            self._put(key, (*others, binding))

    def update(self, tenant: str, aor: str, saved: Sequence[Binding], removed: Sequence[Binding]) -> None:
        """Make one REGISTER's changes, all of them. A saved binding replaces the one with its key."""
        key = (tenant, aor)
        renewed = set(map(key_of, saved))
        gone = renewed.union(map(key_of, removed))
        left = []
        record = self._aors.get(key)
        for binding in () if record is None else record.bindings:
            if binding.key not in gone:
                left.append(binding)  # a comprehension is a call of a function
        self._put(key, (*left, *saved))
        if self._observer is not None:
            for binding in removed:
                if binding.key not in renewed:
                    self._observer.binding_removed(binding)
            for binding in saved:
                self._observer.binding_saved(binding)

    def expire(self, wallclock: float) -> list[Binding]:
        """Forget what has expired, and return it."""
        gone: list[Binding] = []
        while self._expiries and self._expiries[0][0] <= wallclock:
            due, key = heapq.heappop(self._expiries)
            record = self._aors.get(key)
            if record is None or record.due != due:
                continue
            del self._aors[key]
            self._count -= len(record.bindings)
            gone += [binding for binding in record.bindings if binding.expires_at <= wallclock]
            self._put(key, tuple(binding for binding in record.bindings if binding.expires_at > wallclock))
        if self._observer is not None:
            for binding in gone:
                self._observer.binding_removed(binding)
        return gone

    def next_expiry(self) -> float | None:
        """When `expire` is due."""
        return self._expiries[0][0] if self._expiries else None

    def __iter__(self) -> Iterator[Binding]:
        for record in list(self._aors.values()):
            yield from record.bindings

    def __len__(self) -> int:
        return self._count

    def _put(self, key: tuple[str, str], bindings: tuple[Binding, ...]) -> None:
        """An empty tuple stays until its heap entry comes up, so that a phone that comes and goes adds none."""
        record = self._aors.get(key)
        if record is None:
            if bindings:
                self._count += len(bindings)
                self._aors[key] = _Aor(bindings, self._schedule(key, bindings))
            return
        self._count += len(bindings) - len(record.bindings)
        record.bindings = bindings
        if bindings and min(map(expiry_of, bindings)) < record.due:
            record.due = self._schedule(key, bindings)
            self._compact()

    def _schedule(self, key: tuple[str, str], bindings: tuple[Binding, ...]) -> float:
        due = min(map(expiry_of, bindings))
        heapq.heappush(self._expiries, (due, key))
        return due

    def _compact(self) -> None:
        """Phones that ask for less time again and again leave entries behind; they never outnumber the AORs."""
        if len(self._expiries) > 2 * len(self._aors) + 64:
            self._expiries = [(record.due, key) for key, record in self._aors.items()]
            heapq.heapify(self._expiries)
