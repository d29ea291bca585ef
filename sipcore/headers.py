"""The header fields of a message: an ordered multi-map that knows compact forms and comma lists (RFC 3261 §7.3)."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.fields import WHITESPACE, split_outside

COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
    "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
    "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
    "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
KNOWN = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Authentication-Info", "Authorization",
    "Call-Info", "Content-Disposition", "Content-Language", "CSeq", "Date", "Diversion", "Error-Info", "Expires",
    "History-Info", "In-Reply-To", "Max-Forwards", "MIME-Version", "Min-Expires", "Min-SE", "Organization",
    "P-Asserted-Identity", "P-Preferred-Identity", "Path", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "Proxy-Require", "RAck", "Reason", "Record-Route", "Replaces", "Reply-To", "Require",
    "Retry-After", "Route", "RSeq", "Server", "Service-Route", "SIP-ETag", "SIP-If-Match", "Subscription-State",
    "Timestamp", "Unsupported", "User-Agent", "Warning", "WWW-Authenticate", *COMPACT.values(),
)  # fmt: skip
CANONICAL = {name.lower(): name for name in KNOWN} | COMPACT
# Headers whose comma separates values; in others (Date, Subject, WWW-Authenticate, Authorization …) it is text.
LISTS = frozenset(
    ("Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events", "Call-Info", "Contact",
     "Diversion", "Error-Info", "History-Info", "In-Reply-To", "P-Asserted-Identity", "Path", "Privacy",
     "Proxy-Require", "Reason", "Record-Route", "Require", "Route", "Service-Route", "Supported", "Unsupported", "Via",
     "Warning", "Content-Encoding", "Content-Language")
)  # fmt: skip


def canonical(name: str) -> str:
    """`v`, `VIA ` → `Via`; an unknown name keeps its spelling."""
    found = CANONICAL.get(name)
    if found is None:
        stripped = name.strip(WHITESPACE)
        found = CANONICAL.get(stripped.lower(), stripped)
    return found


class Headers:
    """Lines in wire order as (canonical name, value); values are unfolded text."""

    __slots__ = ("_index", "_lines", "version")

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[tuple[str, str]] = [(canonical(name), value) for name, value in lines]
        self._index: dict[str, list[str]] | None = None
        self.version = 0  # counts changes, so that a message knows when a parsed field is stale

    def _changed(self) -> None:
        self._index = None
        self.version += 1

    @classmethod
    def of(cls, lines: list[tuple[str, str]]) -> Headers:
        """Takes lines whose names are canonical already."""
        headers = cls()
        headers._lines = lines
        return headers

    def _map(self) -> dict[str, list[str]]:
        if self._index is None:
            index: dict[str, list[str]] = {}
            for name, value in self._lines:
                values = index.get(name.lower())
                if values is None:
                    index[name.lower()] = [value]
                else:
                    values.append(value)
            self._index = index
        return self._index

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first line's value."""
        values = self._map().get(canonical(name).lower())
        return values[0] if values else default

    def lines(self, name: str) -> list[str]:
        """Each line's value as sent, comma lists not split."""
        return list(self._map().get(canonical(name).lower(), ()))

    def get_all(self, name: str) -> list[str]:
        """Each value; comma lists are split where the header is a list. Raises ParseError."""
        key = canonical(name)
        values = self._map().get(key.lower())
        if not values:
            return []
        if key not in LISTS:
            return list(values)
        return [
            stripped
            for value in values
            for part in (split_outside(value, ",") if "," in value else (value,))
            if (stripped := part.strip(WHITESPACE))
        ]

    def add(self, name: str, value: str) -> None:
        self._lines.append((canonical(name), value))
        self._changed()

    def prepend(self, name: str, value: str) -> None:
        self._lines.insert(0, (canonical(name), value))
        self._changed()

    def set(self, name: str, value: str) -> None:
        """Replaces the first line in place and drops the others; appends when there is none."""
        key = canonical(name)
        lowered = key.lower()
        done = False
        lines = []
        for line in self._lines:
            if line[0].lower() != lowered:
                lines.append(line)
            elif not done:
                lines.append((key, value))
                done = True
        if not done:
            lines.append((key, value))
        self._lines = lines
        self._changed()

    def remove(self, name: str) -> None:
        lowered = canonical(name).lower()
        self._lines = [line for line in self._lines if line[0].lower() != lowered]
        self._changed()

    def items(self) -> list[tuple[str, str]]:
        return list(self._lines)

    def copy(self) -> Headers:
        return Headers.of(list(self._lines))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical(name).lower() in self._map()

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._lines == other._lines

    __hash__ = None  # type: ignore[assignment]  # mutable
