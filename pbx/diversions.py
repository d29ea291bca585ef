"""The ways that a call went before it came here: Diversion (RFC 5806), or History-Info read as such (RFC 7544 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.uri import Uri

# Of the ways that a call went before, so many are told on; the last of them counts those that are left out.
MAX_DIVERSIONS: Final = 5
_MAX_COUNTER: Final = 99  # RFC 5806 §4: two digits
# So many entries are looked at; no call is forwarded so often.
_MAX_ENTRIES: Final = 32

# What a `cause` of a target says of why it came to be the target (RFC 4458, RFC 7544 §6).
_REASONS: Final = {
    "302": "unconditional",
    "404": "unknown",
    "408": "no-answer",
    "480": "deflection",
    "486": "user-busy",
    "487": "deflection",
    "503": "unavailable",
}


class _Entry(NamedTuple):
    name: NameAddr
    place: str
    cause: str
    mapped_from: str
    is_private: bool


def diversions_of(request: Request) -> tuple[str, ...]:
    """The Diversion values of a request, newest first; without any those that its History-Info tells of."""
    diversions = request.headers.get_all("Diversion")
    if not diversions:
        diversions = _from_history(request.headers.get_all("History-Info")[-_MAX_ENTRIES:])
    return shortened(diversions)


def count_of(diversion: str) -> int:
    """How many diversions a value stands for: its `counter` (RFC 5806 §4), or 1."""
    name = _parsed(diversion)
    counter = "" if name is None else name.params.get("counter") or ""
    return max(int(counter), 1) if counter.isascii() and counter.isdecimal() and len(counter) <= 2 else 1


def shortened(diversions: Sequence[str]) -> tuple[str, ...]:
    """The newest of these, which stand for all: the counter of the last has what is left out, so that none is lost."""
    if len(diversions) <= MAX_DIVERSIONS:
        return tuple(diversions)
    kept, last, rest = diversions[: MAX_DIVERSIONS - 1], diversions[MAX_DIVERSIONS - 1], diversions[MAX_DIVERSIONS:]
    name = _parsed(last)
    if name is None:
        return tuple(diversions[:MAX_DIVERSIONS])
    counter = min(sum(map(count_of, (last, *rest))), _MAX_COUNTER)
    return (*kept, str(NameAddr(name.uri, name.display_name, {**name.params, "counter": str(counter)})))


def _from_history(values: Sequence[str]) -> list[str]:
    entries = [entry for value in values if (entry := _entry(value)) is not None]
    by_index = {entry.place: entry for entry in entries}
    found = []
    for place, target in enumerate(entries):
        if target.cause not in _REASONS:
            continue
        before = entries[place - 1] if place else None
        diverting = by_index.get(target.mapped_from, before)
        if diverting is not None:
            privacy = "full" if diverting.is_private else "off"
            found.append(f"{diverting.name};reason={_REASONS[target.cause]};counter=1;privacy={privacy}")
    return found[::-1]


def _entry(value: str) -> _Entry | None:
    name = _parsed(value)
    if name is None:
        return None
    uri = name.uri
    if uri.scheme not in ("sip", "sips", "tel"):
        return None
    plain = NameAddr(Uri(uri.scheme, uri.user, uri.host, uri.port), name.display_name)
    is_private = "history" in (str(uri.headers) if uri.headers else "").lower()
    params = name.params
    return _Entry(plain, params.get("index") or "", uri.params.get("cause") or "", params.get("mp") or "", is_private)


def _parsed(value: str) -> NameAddr | None:
    try:
        return NameAddr.parse(value)
    except ParseError:
        return None
