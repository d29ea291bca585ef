"""RFC 3263 §4: from host, port and transport of a URI to the addresses to try, in order. The look-ups are the caller's.

`locate` is a generator: it yields each `Lookup` that it needs and is sent the records. Weights (RFC 2782) are drawn
from the entropy that it is given.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final, NamedTuple

from sipcore.entropy import Entropy
from sipcore.flow import Address
from sipcore.routing import DEFAULT_PORT, DEFAULT_TLS_PORT, SECURE
from sipcore.values import made_in_c

# What one name may cost, whatever the zone says.
MAX_TARGETS: Final = 16
_MAX_SERVICES: Final = 8

_SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_SRV_PREFIX: Final = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}


class Lookup(NamedTuple):
    """One question to DNS; `kind` is "NAPTR", "SRV", "A" or "AAAA"."""

    name: str
    kind: str


class Naptr(NamedTuple):
    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    priority: int
    weight: int
    port: int
    target: str


@made_in_c
class Target(NamedTuple):
    """Where a request may go."""

    transport: str
    address: Address


Record = Naptr | Srv | str  # the text of an address
Locating = Generator[Lookup, Sequence[Record], list[Target]]


def locate(
    host: str, port: int | None, transport: str | None, *, entropy: Entropy, ours: Sequence[str], kinds: Sequence[str]
) -> Locating:
    """The targets of a request, best first; none when the name leads nowhere.

    `transport` is what the URI demands, or None. `ours` are the transports that we have, best first; `kinds` the
    address records of the families that we have ("A", "AAAA").
    """
    host = host.rstrip(".").lower()
    if port is not None:
        # §4.2: "if a port is specified [...] the client performs an A or AAAA record lookup of the domain name".
        return (yield from _addresses(host, port, transport or "UDP", kinds))
    if transport is not None:
        services = [(transport, _SRV_PREFIX[transport] + host)] if transport in _SRV_PREFIX else []
    else:
        services = yield from _services(host, ours)
    found: list[Target] = []
    is_service = False
    for wanted, name in services[:_MAX_SERVICES]:
        records = [record for record in (yield Lookup(name, "SRV")) if isinstance(record, Srv)]
        is_service = is_service or bool(records)
        for record in by_weight(records, entropy):
            target = record.target.rstrip(".").lower()
            # RFC 2782: a target of "." means that the service is decidedly not available.
            if target and len(found) < MAX_TARGETS:
                found += yield from _addresses(target, record.port, wanted, kinds)
    if is_service:
        return found[:MAX_TARGETS]
    fallback = transport or "UDP"
    return (yield from _addresses(host, DEFAULT_TLS_PORT if fallback in SECURE else DEFAULT_PORT, fallback, kinds))


def by_weight(records: Iterable[Srv], entropy: Entropy) -> list[Srv]:
    """RFC 2782: by priority, and within one by chance as the weights say."""
    waiting = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered: list[Srv] = []
    while waiting:
        # "Arrange all SRV RRs [...] except that all those with weight 0 are placed at the beginning of the list."
        group = [record for record in waiting if record.priority == waiting[0].priority]
        chosen = _draw(group, entropy)
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def _draw(group: Sequence[Srv], entropy: Entropy) -> Srv:
    total = sum(record.weight for record in group)
    point, running = entropy.uniform(0.0, total), 0
    for record in group:
        running += record.weight
        if running >= point:
            return record
    return group[-1]


def _services(host: str, ours: Sequence[str]) -> Generator[Lookup, Sequence[Record], list[tuple[str, str]]]:
    """Transport and SRV name of each service, by NAPTR; without one, of each transport that we have (§4.1)."""
    records = [record for record in (yield Lookup(host, "NAPTR")) if isinstance(record, Naptr)]
    usable = sorted(
        record for record in records if record.flags.lower() == "s" and _SERVICES.get(record.service.upper()) in ours
    )
    if usable:
        return [(_SERVICES[record.service.upper()], record.replacement.rstrip(".").lower()) for record in usable]
    return [(transport, _SRV_PREFIX[transport] + host) for transport in ours if transport in _SRV_PREFIX]


def _addresses(
    name: str, port: int, transport: str, kinds: Sequence[str]
) -> Generator[Lookup, Sequence[Record], list[Target]]:
    found: list[Target] = []
    for kind in kinds:
        records = yield Lookup(name, kind)
        found += [Target(transport, Address(record, port)) for record in records if isinstance(record, str)]
    return found[:MAX_TARGETS]
