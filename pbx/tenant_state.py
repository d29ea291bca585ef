"""What is set while the PBX runs: forwards, do-not-disturb, hours turned over by hand, what limits have seen.

One state for phone, command line and API, kept in the store. It wins over the configuration, which only says how it
begins; an empty forward that was set switches the configured one off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from pbx.objects.people import FORWARDS
from pbx.objects.times import Times
from pbx.tenants import ExtensionConfig

Entry = tuple[str, str, str]

QUEUE_PAUSED: Final = "queue.paused"
SWITCHES: Final = ("dnd", QUEUE_PAUSED)  # on or off
SET_BY_HAND: Final = (*(f"forward.{cause}" for cause in FORWARDS), *SWITCHES)


class StateKeeper(Protocol):
    """Where the state is kept."""

    def save_state(self, tenant: str, owner: str, key: str, value: str | None) -> object: ...


class LiveState:
    """The state of every tenant, in memory; each change goes to the keeper at once."""

    __slots__ = ("_keeper", "_tenants")

    def __init__(self, keeper: StateKeeper | None = None) -> None:
        self._keeper = keeper
        self._tenants: dict[str, TenantState] = {}

    def tenant(self, domain: str) -> TenantState:
        """The state of one tenant."""
        found = self._tenants.get(domain)
        if found is None:
            found = self._tenants[domain] = TenantState(domain, self._keeper)
        return found

    def restore(self, domain: str, entries: Iterable[Entry]) -> None:
        """Take what the store has: (owner, key, value)."""
        self.tenant(domain).restore(entries)


class TenantState:
    """The state of one tenant, by owner ("1001", "times/office") and key ("dnd", "forward.busy")."""

    __slots__ = ("_domain", "_keeper", "_values")

    def __init__(self, domain: str, keeper: StateKeeper | None = None) -> None:
        self._domain = domain
        self._keeper = keeper
        self._values: dict[tuple[str, str], str] = {}

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take these without keeping them again."""
        self._values |= {(owner, key): value for owner, key, value in entries}

    def get(self, owner: str, key: str) -> str | None:
        """The value; None when nothing was set."""
        return self._values.get((owner, key))

    def set(self, owner: str, key: str, value: str | None) -> None:
        """Set it, or (None) go back to the configuration."""
        if value is None:
            self._values.pop((owner, key), None)
        else:
            self._values[owner, key] = value
        if self._keeper is not None:
            self._keeper.save_state(self._domain, owner, key, value)

    def entries(self) -> Iterator[Entry]:
        """Everything that is set."""
        return ((owner, key, value) for (owner, key), value in sorted(self._values.items()))

    # What it means

    def forward(self, extension: ExtensionConfig, cause: str) -> str:
        """The target of a forward now; "" is none."""
        found = self._values.get((extension.number, f"forward.{cause}")) if self._values else None
        configured: str = getattr(extension.forward, cause)
        return configured if found is None else found

    def dnd(self, extension: ExtensionConfig) -> bool:
        """Whether the extension wants no calls now."""
        found = self._values.get((extension.number, "dnd")) if self._values else None
        return extension.dnd if found is None else found == "on"

    def override(self, times: Times, at: float) -> bool | None:
        """Whether the hours are turned to open or closed by hand at this wallclock; None: they are as configured."""
        found = self._values.get((f"times/{times.name}", "override")) if self._values else None
        if found is None:
            return None
        word, _, until = found.partition(" until ")
        return None if until and at >= float(until) else word == "open"

    def turn(self, times: Times, at: float, *, is_open: bool) -> None:
        """Turn the hours over by hand until it is done again, or for `override_s` seconds."""
        until = f" until {at + times.override_s!r}" if times.override_s else ""
        self.set(f"times/{times.name}", "override", ("open" if is_open else "closed") + until)

    def turn_back(self, times: Times) -> None:
        """Let the hours be as configured."""
        self.set(f"times/{times.name}", "override", None)


def effective(state: TenantState, extension: ExtensionConfig) -> Mapping[str, str]:
    """What is in force for an extension, by the keys that can be set."""
    forwards = {f"forward.{cause}": state.forward(extension, cause) for cause in FORWARDS}
    paused = state.get(extension.number, QUEUE_PAUSED) or "off"
    return {**forwards, "dnd": "on" if state.dnd(extension) else "off", QUEUE_PAUSED: paused}
