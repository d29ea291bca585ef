"""Token buckets, and tables of bounded size to keep them in. Everything is O(1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Entry = TypeVar("Entry")


@dataclass(slots=True)
class Bucket:
    """Tokens that come back at a rate, up to a burst."""

    tokens: float
    updated: float

    def take(self, rate: float, burst: float, now: float, spared: float = 0.0) -> bool:
        """One token, unless fewer than `spared` would be left."""
        self.fill(rate, burst, now)
        if self.tokens < spared + 1.0:
            return False
        self.tokens -= 1.0
        return True

    def fill(self, rate: float, burst: float, now: float) -> float:
        """What there is by now."""
        self.tokens = min(burst, self.tokens + (now - self.updated) * rate)
        self.updated = now
        return self.tokens

    def give_back(self, burst: float) -> None:
        """A token was taken for nothing."""
        self.tokens = min(self.tokens + 1.0, burst)


class Recent(Generic[Key, Entry]):
    """A table of bounded size that forgets what was touched longest ago."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Not a dict: there the first entry is found by walking over all that were deleted before it.
        self.entries: Final[OrderedDict[Key, Entry]] = OrderedDict()
        # An entry that is only looked at, and stays as old as it is.
        self.peek: Final = self.entries.get

    def get(self, key: Key) -> Entry | None:
        entry = self.entries.get(key)
        if entry is not None:
            self.entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Entry) -> Entry:
        entries = self.entries
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self._size:
            entries.popitem(last=False)
        entries[key] = entry
        return entry

    def remove(self, key: Key) -> None:
        self.entries.pop(key, None)

    def items(self) -> list[tuple[Key, Entry]]:
        return list(self.entries.items())
