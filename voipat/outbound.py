"""RFC 5626 at the registrar: whether a registration is one of several flows of a phone.

We are the first hop of a phone that comes with one Via; one that comes through an edge proxy has that proxy's Path,
whose first URI says by `ob` that it keeps the flow.
"""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.errors import ParseError
from sipcore.fields import NameAddr
from sipcore.message import Request
from voipat import reasons
from voipat.reasons import Reason


def has_option(request: Request, option: str) -> bool:
    """Whether the client supports this extension (RFC 3261 §20.37)."""
    return request.headers.has_element("Supported", option)


def outbound_of(request: Request) -> tuple[bool, Reason | None]:
    """Whether outbound processing applies (RFC 5626 §6), and why the registration is refused instead."""
    contacts = request.contacts
    if not any(_is_outbound(contact) for contact in contacts):
        return False, None
    if len([contact for contact in contacts if contact.params.get("expires") != "0"]) > 1:
        # A flow is one way to one phone.
        return False, reasons.BAD_CONTACT
    if len(request.headers.get_all("Via")) > 1 and not _keeps_flow(request.headers.get_all("Path")):
        # "the registrar MUST respond to the REGISTER request with a 439 (First Hop Lacks Outbound Support)";
        # without the option tag it "MUST ignore the reg-id parameter".
        return False, reasons.NO_OUTBOUND if has_option(request, "outbound") else None
    return has_option(request, "outbound"), None


def _is_outbound(contact: NameAddr) -> bool:
    text = contact.params.get("reg-id") or ""
    return (
        bool(contact.params.get("+sip.instance")) and text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31
    )


def _keeps_flow(path: Sequence[str]) -> bool:
    try:
        return bool(path) and "ob" in NameAddr.parse(path[0]).uri.params
    except ParseError:
        return False
