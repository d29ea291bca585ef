"""Times as the load generator counts them: in buckets of 1/128, so that of millions none has to be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# (sum in µs, largest in µs, {highest value of a bucket in µs: how many}), as native code gives it.
RawHistogram = tuple[int, int, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell where, by the highest value of their bucket in µs."""

    buckets: Mapping[int, int] = field(default_factory=dict)
    sum_us: int = 0
    max_us: int = 0

    @classmethod
    def of(cls, raw: RawHistogram) -> Histogram:
        """From what native code gives; keys may have become texts on their way."""
        total, largest, buckets = raw
        return cls({int(value): count for value, count in buckets.items()}, total, largest)

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """All of them as one."""
        found: Counter[int] = Counter()
        total = largest = 0
        for part in parts:
            found.update(part.buckets)
            total += part.sum_us
            largest = max(largest, part.max_us)
        return cls(found, total, largest)

    def __sub__(self, earlier: Histogram) -> Histogram:
        """What was added since `earlier`; its largest value is that of its highest bucket."""
        left = {value: count - earlier.buckets.get(value, 0) for value, count in self.buckets.items()}
        left = {value: count for value, count in left.items() if count}
        return Histogram(left, self.sum_us - earlier.sum_us, min(self.max_us, max(left, default=0)))

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.buckets.values())

    @property
    def mean_ms(self) -> float:
        """0 when there is none."""
        return self.sum_us / 1e3 / max(self.count, 1)

    def percentile_ms(self, part: float) -> float:
        """The value that `part` (0 to 1) of all are not above, in milliseconds; 0 when there is none."""
        wanted, seen = part * self.count, 0
        for value in sorted(self.buckets):
            seen += self.buckets[value]
            if seen >= wanted:
                return min(value, self.max_us) / 1e3
        return 0.0
