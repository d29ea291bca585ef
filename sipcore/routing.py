"""Where a message goes, and what it says about where it came from: RFC 3261 §8.1.2, §18.1–18.2 and RFC 3581."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from sipcore.fields import Via
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.message import Request
from sipcore.uri import Uri
from sipcore.values import made_in_c

DEFAULT_PORT: Final = 5060
DEFAULT_TLS_PORT: Final = 5061

# What stands for "whichever of our sockets reaches it": the driver chooses.
ANY_LOCAL: Final = Address("0.0.0.0", 0)

# Stands for our own address in a Contact whose flow is not known yet; the endpoint fills it in (RFC 3261 §8.1.1.8).
OWN_ADDRESS: Final = "own.invalid"

# What keeps the promise of a SIPS URI (RFC 5630), and has 5061 as its port.
SECURE: Final = frozenset({"TLS", "WSS"})

# Any address when we listen, none when a peer writes it.
UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})

_PRIVATE_PREFIXES: Final = (
    "10.",
    "192.168.",
    "169.254.",
    "127.",
    *(f"172.{n}." for n in range(16, 32)),
    *(f"100.{n}." for n in range(64, 128)),
    "fc",
    "fd",
    "fe80:",
)


@made_in_c
class NextHop(NamedTuple):
    """Where a URI points, before any look-up."""

    host: str
    port: int | None
    transport: str
    is_literal: bool
    # False: DNS may choose it (RFC 3263 §4.1).
    names_transport: bool = True

    @property
    def address(self) -> Address:
        """The address, for a literal host."""
        port = self.port or (DEFAULT_TLS_PORT if self.transport in SECURE else DEFAULT_PORT)
        return Address(self.host, port)


def next_hop(uri: Uri) -> NextHop:
    """Host, port and transport that a request for `uri` goes to (RFC 3263 §4.1 without the look-ups)."""
    host = uri.params.get("maddr") or uri.host
    if host.startswith("["):
        host = host[1:-1]
    transport = (uri.params.get("transport") or "").upper()
    if uri.scheme == "sips":
        transport = "WSS" if transport in ("WS", "WSS") else "TLS"
    return NextHop(host, uri.port, transport or "UDP", is_ip_literal(host), bool(transport))


def new_flow(hop: NextHop, local: Address, remote: Address) -> Flow:
    """A flow to `remote`, where `hop` leads; who is there must prove to be the host of the URI (RFC 5922 §4)."""
    if hop.transport in SECURE:
        return TlsFlow(hop.transport, local, remote, domain=hop.host.lower())
    return Flow(hop.transport, local, remote)


@lru_cache(maxsize=1024)  # the phones and gateways of an hour
def is_ip_literal(host: str) -> bool:
    """True for an IPv4 or an IPv6 address; no look-up is needed, and none may be made."""
    if ":" in host:
        return True
    parts = host.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts)


def is_private(host: str) -> bool:
    """True for an address that means nothing outside its own network (RFC 1918, 6598, 3927, 4193)."""
    return host.startswith(_PRIVATE_PREFIXES)


def dialog_flow(hop: NextHop, flow: Flow, *, has_route_set: bool) -> Flow:
    """The flow of a request in a dialog whose peer was last heard on `flow`; `hop` is what RFC 3261 §12.2.1.1 says.

    That is the same as `flow` for a stream connection to the same host (RFC 5923: it is used again), and must be
    `flow` when a phone behind a NAT gives a private Contact. A host name is not looked up again within a dialog:
    `flow` leads there. A hop that wants TLS is never followed over a flow without it.
    """
    remote = flow.remote
    if not hop.is_literal or hop.port == 0 or hop.host in UNSPECIFIED:
        return flow
    if hop.transport in SECURE and flow.transport not in SECURE:
        return new_flow(hop, ANY_LOCAL, hop.address)
    if hop.host == remote.host:
        if flow.connection or (hop.transport == flow.transport and hop.address.port == remote.port):
            return flow
    elif not has_route_set and is_private(hop.host):
        return flow
    local = flow.local if hop.transport == flow.transport else ANY_LOCAL
    return new_flow(hop, local, hop.address)


def response_flow(via: Via, flow: Flow, *, symmetric: bool) -> Flow:
    """Where the response to a request that came on `flow` goes (RFC 3261 §18.2.2, RFC 3581 §4).

    `symmetric` answers to the source port even when the client did not ask by `rport`: what phones behind a NAT
    need and others do not notice. `maddr` is not followed: it would let a stranger aim our responses.
    """
    if flow.transport != "UDP" or symmetric or "rport" in via.params:
        return flow
    port = via.port or DEFAULT_PORT
    if port == flow.remote.port:
        return flow
    return Flow(flow.transport, flow.local, Address(flow.remote.host, port), 0)


def reconnect_flow(via: Via, flow: Flow) -> Flow:
    """RFC 3261 §18.2.2: the connection of the request is gone, so a new one to `received` and sent-by's port."""
    is_secure = flow.transport in SECURE
    remote = Address(flow.remote.host, via.port or (DEFAULT_TLS_PORT if is_secure else DEFAULT_PORT))
    if is_secure:
        return TlsFlow(flow.transport, flow.local, remote, domain=via.host.strip("[]").lower())
    return Flow(flow.transport, flow.local, remote, 0)


@lru_cache(maxsize=1024)  # ours, as peers see them, and where responses of old clients go
def host_port(address: Address) -> str:
    """An address as sent-by or hostport: the port always named, IPv6 in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def via_value(flow: Flow, sent_by: Address, branch: str) -> str:
    """Our Via. RFC 3581 §3: `rport` has no value in a request, and we always ask."""
    return f"SIP/2.0/{flow.transport} {host_port(sent_by)};branch={branch};rport"


def contact_value(flow: Flow, sent_by: Address, *, sips: bool = False) -> str:
    """Our Contact as the peer on `flow` can reach it; with `sips` a SIPS URI (RFC 3261 §8.1.1.8, §12.1.1)."""
    if sips:
        return f"<sips:{host_port(sent_by)}>"
    if flow.transport == "UDP":
        return f"<sip:{host_port(sent_by)}>"
    return f"<sip:{host_port(sent_by)};transport={flow.transport.lower()}>"


def with_own_address(contact: str, flow: Flow, sent_by: Address) -> str:
    """The Contact with `OWN_ADDRESS` replaced by what the peer on `flow` can reach."""
    transport = "" if flow.transport == "UDP" else f";transport={flow.transport.lower()}"
    return contact.replace(OWN_ADDRESS, f"{host_port(sent_by)}{transport}")


def top_route(request: Request) -> Uri:
    """The URI that decides the next hop of an out-of-dialog request: the first Route, else the Request-URI."""
    routes = request.routes
    return routes[0].uri if routes else request.uri


def serve_strict_router(request: Request) -> Uri:
    """The URI that decides the next hop of a request that leaves by its Route, which is made fit for that hop.

    RFC 3261 §16.6, step 6 and 7, and §12.2.1.1: a next hop without `lr` wants its own URI in the request line, and the
    true one as last Route; it is then that URI, and no Route, that says where the request goes.
    """
    routes = request.routes
    if not routes:
        return request.uri
    if "lr" in routes[0].uri.params:
        return routes[0].uri
    values = request.headers.get_all("Route")
    request.headers.remove("Route")
    for value in values[1:]:
        request.headers.add("Route", value)
    request.headers.add("Route", f"<{request.uri_text}>")
    request.uri = routes[0].uri
    return request.uri


def wants_sips(request: Request) -> bool:
    """Whether the Request-URI, or the route that stands for it, is a SIPS URI."""
    if request.uri_text[:5].lower() == "sips:":
        return True
    headers = request.headers
    return any(name in headers and "<sips:" in headers.get_all(name)[0].lower() for name in ("Route", "Record-Route"))
