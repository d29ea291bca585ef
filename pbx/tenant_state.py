"""What is set while the PBX runs: forwards, do-not-disturb, hours turned over by hand, what limits have seen.

One state for phone, command line and API, kept in the store. It wins over the configuration, which only says how it
begins; an empty forward that was set switches the configured one off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from pbx.objects.people import FORWARDS
from pbx.objects.times import Times
from pbx.tenants import ExtensionConfig

Entry = tuple[str, str, str]

QUEUE_PAUSED: Final = "queue.paused"
OVERRIDE: Final = "override"
UNTIL: Final = " until "
SWITCHES: Final = ("dnd", QUEUE_PAUSED)  # on or off
SET_BY_HAND: Final = (*(f"forward.{cause}" for cause in FORWARDS), *SWITCHES)


class StateKeeper(Protocol):
    """Where the state is kept."""

    def save_state(self, tenant: str, owner: str, key: str, value: str | None) -> object: ...


class LiveState:
    """The state of every tenant, in memory; each change goes to the keeper at once."""

    __slots__ = ("_keeper", "_tenants", "on_change")

    def __init__(self, keeper: StateKeeper | None = None) -> None:
        self._keeper = keeper
        # Told of each key that is set, for its lamps.
        self.on_change: Callable[[str], None] = _nobody
        self._tenants: dict[str, TenantState] = {}

    def tenant(self, domain: str) -> TenantState:
        """The state of one tenant."""
        found = self._tenants.get(domain)
        if found is None:
            found = self._tenants[domain] = TenantState(domain, self._keeper, self._changed)
        return found

    def forget(self, domain: str) -> None:
        """Of a tenant that is gone for good; the keeper's part is done by its sweep."""
        self._tenants.pop(domain, None)

    def _changed(self, key: str) -> None:
        self.on_change(key)

    def restore(self, domain: str, entries: Iterable[Entry]) -> None:
        """Take what the store has: (owner, key, value)."""
        self.tenant(domain).restore(entries)


class TenantState:
    """The state of one tenant, by owner ("1001", "times/office") and key ("dnd", "forward.busy")."""

    __slots__ = ("_changed", "_domain", "_keeper", "_values")

    def __init__(
        self, domain: str, keeper: StateKeeper | None = None, changed: Callable[[str], None] | None = None
    ) -> None:
        self._domain = domain
        self._keeper = keeper
        self._changed = changed or _nobody
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
        self._changed(key)

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
        found = self._values.get((f"times/{times.name}", OVERRIDE)) if self._values else None
        if found is None:
            return None
        word, _, until = found.partition(UNTIL)
        return None if until and at >= float(until) else word == "open"

    def override_end(self, times: Times) -> float | None:
        """The wallclock at which hours that are turned over are as configured again; None: when somebody says so."""
        _, _, until = (self.get(f"times/{times.name}", OVERRIDE) or "").partition(UNTIL)
        return float(until) if until else None

    def turn(self, times: Times, at: float, *, is_open: bool) -> None:
        """Turn the hours over by hand until it is done again, or for `override_s` seconds."""
        self.set_override(times, is_open=is_open, until=at + times.override_s if times.override_s else None)

    def set_override(self, times: Times, *, is_open: bool, until: float | None) -> None:
        """Turn the hours to open or closed by hand until a wallclock; None: until it is taken back."""
        end = "" if until is None else f"{UNTIL}{until!r}"
        self.set(f"times/{times.name}", OVERRIDE, ("open" if is_open else "closed") + end)

    def turn_back(self, times: Times) -> None:
        """Let the hours be as configured."""
        self.set(f"times/{times.name}", OVERRIDE, None)


def effective(state: TenantState, extension: ExtensionConfig) -> Mapping[str, str]:
    """What is in force for an extension, by the keys that can be set."""
    forwards = {f"forward.{cause}": state.forward(extension, cause) for cause in FORWARDS}
    paused = state.get(extension.number, QUEUE_PAUSED) or "off"
    return {**forwards, "dnd": "on" if state.dnd(extension) else "off", QUEUE_PAUSED: paused}


def _nobody(key: str) -> None:
    """Until lamps follow."""
