"""The one place where a call is let in: a tree of limits, from the server over tenant and trunk to the extension.

A place is taken for as long as the call lasts, so that counters cannot leak: they are those of open `with` blocks. All
places of a call are taken together or none: a call that the last limit refuses has used nothing of the others.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from sipcore.values import value_object
from voipat import Rejected, reasons
from voipat.reasons import Reason

if TYPE_CHECKING:
    from pbx.tenants import ExtensionConfig

Key = tuple[str, ...]
SERVER: Final[Key] = ()


@value_object(frozen=True, slots=True)
class Limit:
    """So many calls at most under `key` (None: any number), else this refusal.

    Keys are paths: `()` the server, `(tenant,)`, `(tenant, "extension", number)`, `(tenant, "trunk", name)`.
    """

    key: Key
    most: int | None
    refusal: Reason


class Places:
    """The places of one call, for as long as the `with` block."""

    __slots__ = ("_counts", "_limits")

    def __init__(self, counts: dict[Key, int], limits: tuple[Limit, ...]) -> None:
        self._counts = counts
        self._limits = limits

    def __enter__(self) -> None:
        counts = self._counts
        for limit in self._limits:
            if limit.most is not None and counts.get(limit.key, 0) >= limit.most:
                raise Rejected(limit.refusal)
        for limit in self._limits:
            counts[limit.key] = counts.get(limit.key, 0) + 1

    def __exit__(self, *exception: object) -> None:
        counts = self._counts
        for limit in self._limits:
            counts[limit.key] -= 1
            if not counts[limit.key]:
                del counts[limit.key]


class Admission:
    """Counts the calls that are up. `max_calls` 0 is no limit."""

    def __init__(self, max_calls: int = 0) -> None:
        self.max_calls: Final = max_calls
        self._counts: dict[Key, int] = {}

    @property
    def calls(self) -> int:
        """How many calls are up."""
        return self._counts.get(SERVER, 0)

    def calls_of(self, tenant: str, extension: str) -> int:
        """How many calls an extension takes part in."""
        return self._counts.get((tenant, "extension", extension), 0)

    def calls_of_tenant(self, tenant: str) -> int:
        """How many calls a tenant has."""
        return self._counts.get((tenant,), 0)

    def places(self, *limits: Limit) -> Places:
        """One place under each of the limits, or none at all; entering raises Rejected by the first that is full."""
        return Places(self._counts, limits)

    def call(self) -> AbstractContextManager[None]:
        """One call of the server. Raises: Rejected."""
        return self.places(Limit(SERVER, self.max_calls or None, reasons.SERVER_FULL))

    def tenant(self, tenant: str, most: int | None) -> AbstractContextManager[None]:
        """One call of a tenant. Raises: Rejected."""
        return self.places(Limit((tenant,), most, reasons.TENANT_LIMIT))

    def extension(self, tenant: str, number: str, limit: int | None, refusal: Reason) -> AbstractContextManager[None]:
        """One call of an extension, as caller or callee. Raises: Rejected."""
        return self.places(Limit((tenant, "extension", number), limit, refusal))

    def callee(self, tenant: str, extension: ExtensionConfig) -> AbstractContextManager[None]:
        """One call to an extension, which may be busy before it is full. Raises: Rejected."""
        level = extension.busy_level
        if level is not None and self.calls_of(tenant, extension.number) >= level:
            raise Rejected(reasons.BUSY_LEVEL)
        return self.extension(tenant, extension.number, extension.max_calls, reasons.CALLEE_LIMIT)
