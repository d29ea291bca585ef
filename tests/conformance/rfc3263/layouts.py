"""25 layouts of a domain's records, and the targets that RFC 3263 §4 makes of each, in order.

`test_locating` asks the algorithm, `test_real_nameserver` the resolver with a nameserver behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from sipcore.locate import Naptr, Record, Srv

Zone = dict[tuple[str, str], Sequence[Record]]

A1, A2, A3, V6 = "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"
UDP, TCP, TLS = ("_sip._udp.x.test", "SRV"), ("_sip._tcp.x.test", "SRV"), ("_sips._tcp.x.test", "SRV")
HOST: Zone = {("x.test", "A"): [A1]}
ONE: Zone = {("a.x.test", "A"): [A1], ("b.x.test", "A"): [A2]}


def naptr(order: int, preference: int, service: str, name: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, name)


SRV_UDP: Zone = {UDP: [Srv(1, 0, 5080, "a.x.test.")], **ONE}
BOTH: Zone = {**SRV_UDP, TCP: [Srv(1, 0, 5090, "b.x.test.")]}
NAPTRS: Zone = {
    ("x.test", "NAPTR"): [
        naptr(20, 1, "SIP+D2U", "_sip._udp.x.test."),
        naptr(10, 2, "SIP+D2T", "_sip._tcp.x.test."),
        naptr(10, 1, "SIPS+D2T", "_sips._tcp.x.test."),
    ],
    TLS: [Srv(1, 0, 5061, "a.x.test")],
    **BOTH,
}
UP, TP, SP = f"UDP {A1}:5080", f"TCP {A2}:5090", f"TLS {A1}:5061"

# Name, records, what is asked for beside the host (and `ours`, the transports that we have), the targets.
LAYOUTS: Final[Sequence[tuple[str, Zone, Mapping[str, Any], Sequence[str]]]] = [
    ("nothing", {}, {}, []),
    ("A only", HOST, {}, [f"UDP {A1}:5060"]),
    ("two A", {("x.test", "A"): [A1, A2]}, {}, [f"UDP {A1}:5060", f"UDP {A2}:5060"]),
    ("AAAA only", {("x.test", "AAAA"): [V6]}, {}, [f"UDP [{V6}]:5060"]),
    ("A and AAAA", {**HOST, ("x.test", "AAAA"): [V6]}, {}, [f"UDP {A1}:5060", f"UDP [{V6}]:5060"]),
    ("port: A only, SRV not asked", {**BOTH, ("x.test", "A"): [A3]}, {"port": 5099}, [f"UDP {A3}:5099"]),
    ("port and transport", {**BOTH, ("x.test", "A"): [A3]}, {"port": 5099, "transport": "TCP"}, [f"TCP {A3}:5099"]),
    ("port, no address: SRV is no help", SRV_UDP, {"port": 5099}, []),
    ("SRV udp", SRV_UDP, {}, [UP]),
    ("an A does not short-circuit SRV", {**SRV_UDP, ("x.test", "A"): [A3]}, {}, [UP]),
    ("SRV udp and tcp, ours in order", BOTH, {}, [UP, TP]),
    ("SRV of a transport we lack", BOTH, {"ours": "TCP"}, [TP]),
    ("transport tcp: its SRV only", BOTH, {"transport": "TCP"}, [TP]),
    ("transport tcp without SRV: A", {**SRV_UDP, **HOST}, {"transport": "TCP"}, [f"TCP {A1}:5060"]),
    ("sips: _sips._tcp", NAPTRS, {"transport": "TLS"}, [SP]),
    ("sips without SRV: port 5061", HOST, {"transport": "TLS"}, [f"TLS {A1}:5061"]),
    ("NAPTR by order, then preference", NAPTRS, {}, [SP, TP, UP]),
    ("NAPTR filtered by what we have", NAPTRS, {"ours": "UDP"}, [UP]),
    ("NAPTR is ignored when the transport is given", NAPTRS, {"transport": "UDP"}, [UP]),
    ("NAPTR of another service", {("x.test", "NAPTR"): [naptr(1, 1, "E2U+sip", "z.test")], **SRV_UDP}, {}, [UP]),
    (
        "NAPTR with a flag that we do not know",
        {("x.test", "NAPTR"): [naptr(1, 1, "SIP+D2T", "q", "a")], **SRV_UDP},
        {},
        [UP],
    ),
    (
        "NAPTR to a name elsewhere",
        {
            ("x.test", "NAPTR"): [naptr(1, 1, "sip+d2u", "s.z.test.", "S")],
            ("s.z.test", "SRV"): [Srv(1, 0, 7, "a.x.test")],
            **ONE,
        },
        {},
        [f"UDP {A1}:7"],
    ),
    (
        "SRV by priority",
        {UDP: [Srv(20, 0, 2, "b.x.test"), Srv(10, 0, 1, "a.x.test")], **ONE},
        {},
        [f"UDP {A1}:1", f"UDP {A2}:2"],
    ),
    (
        "SRV target without address: the next",
        {UDP: [Srv(1, 0, 1, "gone.test"), Srv(2, 0, 2, "b.x.test")], **ONE},
        {},
        [f"UDP {A2}:2"],
    ),
    ("SRV '.': not available, and no A instead", {UDP: [Srv(0, 0, 0, ".")], **HOST}, {}, []),
]

EACH_LAYOUT: Final = pytest.mark.parametrize(
    ("zone", "options", "expected"), [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS]
)
