"""The one place where a call is let in: the server's capacity and the limits of extensions.

A place is taken for as long as the call lasts, so that counters cannot leak: they are those of open `with` blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from voipat import Rejected, reasons
from voipat.reasons import Reason

Account = tuple[str, str]


class Admission:
    """Counts the calls that are up. `max_calls` 0 is no limit."""

    def __init__(self, max_calls: int = 0) -> None:
        self.max_calls: Final = max_calls
        self.calls = 0
        self._by_extension: Counter[Account] = Counter()

    def calls_of(self, tenant: str, extension: str) -> int:
        """How many calls an extension takes part in."""
        return self._by_extension[tenant, extension]

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call of the server. Raises: Rejected."""
        if self.max_calls and self.calls >= self.max_calls:
            raise Rejected(reasons.SERVER_FULL)
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    @contextmanager
    def extension(self, tenant: str, number: str, limit: int | None, refusal: Reason) -> Iterator[None]:
        """One call of an extension, as caller or callee. Raises: Rejected."""
        key = (tenant, number)
        if limit is not None and self._by_extension[key] >= limit:
            raise Rejected(refusal)
        self._by_extension[key] += 1
        try:
            yield
        finally:
            self._by_extension[key] -= 1
            if not self._by_extension[key]:
                del self._by_extension[key]
