"""Record-Route of a proxy, and what a request that comes back by it says: RFC 3261 §16.4, §16.6; RFC 5658; RFC 5626 §5.

    <sip:192.0.2.1:5060;lr;vp=MAC.FLOWS>

MAC is over the Call-ID and the flows: nobody can make us forward what we have not let pass before. FLOWS names the flow
to a side that its Contact does not lead to: a stream, or a phone behind a NAT. Where transport or interface change, the
two sides have an entry each (RFC 5658 §3.2), and each finds us at an address of its own.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from typing import Final, NamedTuple

from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.message import Request
from sipcore.routing import SECURE, host_port
from sipcore.state import EndpointState
from sipcore.uri import Uri
from sipcore.values import made_in_c

PARAMETER: Final = "vp"
_DIGEST_OCTETS: Final = 9
_NOT_NEEDED: Final = "-"
# Base64 for URLs (RFC 4648 §5), whose module would be four calls.
_FOR_URLS: Final = str.maketrans("+/", "-_")
_FROM_URLS: Final = str.maketrans("-_", "+/")


@made_in_c
class Routed(NamedTuple):
    """What our own entries of a route said: the flow to send on, if any; whether a strict router sent the request."""

    flow: Flow | None
    was_strict: bool


class RouteKey:
    """Signs our Record-Route; the same secret after a restart keeps the dialogs of before routable."""

    __slots__ = ("_last", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        # What was read last and what it said: a request's entry is asked whose it is, and then for its flows.
        self._last: tuple[str, str, str | None] = ("", "", None)

    def digest(self, text: str) -> str:
        """A short keyed digest, of characters that are allowed in a branch and in a URI parameter."""
        octets = text.encode("utf-8", "surrogateescape")
        return blake2b(octets, key=self._secret, digest_size=_DIGEST_OCTETS).hexdigest()

    def signed(self, call_id: str, flows: str) -> str:
        """The value of our parameter."""
        encoded = b2a_base64(flows.encode(), newline=False).decode().translate(_FOR_URLS).rstrip("=")
        return f"{self.digest(f'{call_id}|{encoded}')}.{encoded}"

    def read(self, uri: Uri, call_id: str) -> str | None:
        """The flows that our parameter names; None when the URI is not ours, or of another call."""
        value = uri.params.get(PARAMETER)
        if not value:
            return None
        if self._last[0] != value or self._last[1] != call_id:
            self._last = (value, call_id, self._flows_of(value, call_id))
        return self._last[2]

    def _flows_of(self, value: str, call_id: str) -> str | None:
        mac, _, encoded = value.partition(".")
        if not mac or mac != self.digest(f"{call_id}|{encoded}"):
            return None
        try:
            return a2b_base64(encoded.translate(_FROM_URLS) + "=" * (-len(encoded) % 4)).decode()
        except ValueError:  # no base64, or no UTF-8 behind it
            return None

    def names_us(self, request: Request) -> bool:
        """Whether the first Route, or the Request-URI of a strict router, is ours for this Call-ID."""
        if PARAMETER in request.uri_text and self.read(request.uri, request.call_id) is not None:
            return True
        if "Route" not in request.headers:
            return False
        try:
            routes = request.routes
        except ParseError:
            return False
        return bool(routes) and self.read(routes[0].uri, request.call_id) is not None


def record_routes(state: EndpointState, key: RouteKey, request: Request, received: Flow, sent: Flow, *,
                  sent_by_flow: bool) -> list[str]:  # fmt: skip
    """Our entries, the one for the next hop first: one, or two where transport or interface change.

    `sent_by_flow`: the request leaves on a flow that was given, not by where its URI points.
    """
    from_caller = _written(received) if _needs_flow(request, received) else _NOT_NEEDED
    to_callee = _written(sent) if sent_by_flow else _NOT_NEEDED
    ours_in, ours_out = state.sent_by(received), state.sent_by(sent)
    call_id, is_sips = request.call_id, request.uri_text[:5].lower() == "sips:"
    if ours_in == ours_out and received.transport == sent.transport:
        return [_entry(ours_in, received, key.signed(call_id, f"{from_caller}|{to_callee}"), is_sips=is_sips)]
    return [
        _entry(ours_out, sent, key.signed(call_id, to_callee), is_sips=is_sips),
        _entry(ours_in, received, key.signed(call_id, from_caller), is_sips=is_sips),
    ]


def process_routes(request: Request, key: RouteKey, flow: Flow) -> Routed:
    """Take our entries off the route (§16.4), and give back the Request-URI that a strict router hid."""
    was_strict = False
    if PARAMETER in request.uri_text and key.read(request.uri, request.call_id) is not None:
        was_strict = _restore_request_uri(request)
    flows: str | None = None
    routes = request.headers.get_all("Route")
    parsed: list[NameAddr] = request.routes
    ours = 0
    while ours < len(parsed) and (found := key.read(parsed[ours].uri, request.call_id)) is not None:
        flows = found
        ours += 1
    if ours:
        request.headers.remove("Route")
        for value in routes[ours:]:
            request.headers.add("Route", value)
    is_last = ours == len(parsed)
    return Routed(_chosen(flows, flow) if flows is not None and is_last else None, was_strict)


def _restore_request_uri(request: Request) -> bool:
    """§16.4: "the proxy MUST replace the Request-URI [...] with the last value from the Route header field"."""
    routes = request.headers.get_all("Route")
    if not routes:
        return False
    request.uri = request.routes[-1].uri
    request.headers.remove("Route")
    for value in routes[:-1]:
        request.headers.add("Route", value)
    return True


def _needs_flow(request: Request, flow: Flow) -> bool:
    """Whether the caller is not where its Contact says: then only the flow it came on leads to it."""
    if len(request.vias) > 1:
        return False  # another proxy is between: it knows the way
    if flow.transport != "UDP":
        return True
    try:
        contact = request.contact
    except ParseError:
        return True
    return (
        contact is None
        or contact.uri.host.strip("[]") != flow.remote.host
        or (contact.uri.port or 5060) != flow.remote.port
    )


def _entry(ours: Address, flow: Flow, signed: str, *, is_sips: bool) -> str:
    secure = flow.transport in SECURE
    scheme = "sips" if is_sips and secure else "sip"
    transport = "" if flow.transport == "UDP" or scheme == "sips" else f";transport={flow.transport.lower()}"
    return f"<{scheme}:{host_port(ours)}{transport};lr;{PARAMETER}={signed}>"


def _written(flow: Flow) -> str:
    domain = flow.domain if isinstance(flow, TlsFlow) else ""
    ends = f"{flow.local.host} {flow.local.port} {flow.remote.host} {flow.remote.port}"
    return f"{flow.transport} {ends} {flow.connection} {domain}"


def _read_flow(text: str) -> Flow | None:
    if text == _NOT_NEEDED:
        return None
    transport, local, local_port, remote, remote_port, connection, domain = text.split(" ")
    ends = Address(local, int(local_port)), Address(remote, int(remote_port))
    if transport in SECURE:
        return TlsFlow(transport, *ends, int(connection), domain=domain)
    return Flow(transport, *ends, int(connection))


def _chosen(flows: str, came: Flow) -> Flow | None:
    """Of one entry for both sides, the side that the request did not come from; None: its Contact leads there."""
    caller, _, callee = flows.partition("|")
    first = _read_flow(caller)
    if not callee:
        return first
    second = _read_flow(callee)
    if first is not None and first.remote == came.remote:
        return second
    return first if second is not None and second.remote == came.remote else _other(first, second)


def _other(first: Flow | None, second: Flow | None) -> Flow | None:
    """The request came from neither flow: from the side that has none, when there is just one such side."""
    return second if first is None else first if second is None else None
