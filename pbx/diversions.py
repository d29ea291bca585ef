"""The ways that a call went before it came here: Diversion (RFC 5806), or History-Info read as such (RFC 7544 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.uri import Uri

# Of the ways that a call went before, so many are told on.
MAX_DIVERSIONS: Final = 5
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
    return tuple(diversions[:MAX_DIVERSIONS])


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
    try:
        name = NameAddr.parse(value)
    except ParseError:
        return None
    uri = name.uri
    if uri.scheme not in ("sip", "sips", "tel"):
        return None
    plain = NameAddr(Uri(uri.scheme, uri.user, uri.host, uri.port), name.display_name)
    is_private = "history" in (str(uri.headers) if uri.headers else "").lower()
    params = name.params
    return _Entry(plain, params.get("index") or "", uri.params.get("cause") or "", params.get("mp") or "", is_private)
