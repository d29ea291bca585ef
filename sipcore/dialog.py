"""Dialogs of RFC 3261 §12: identity, route set, remote target, CSeq in each direction.

A dialog is made from the message that creates it and never asks what it is for; the INVITE's use of it (2xx and
ACK, glare, BYE) is in `invite_usage`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from sipcore.events import DialogId
from sipcore.flow import Flow
from sipcore.message import Message, Request, Response
from sipcore.negotiation import Negotiation
from sipcore.routing import NextHop, next_hop
from sipcore.timers import Clock
from sipcore.uri import Uri
from sipcore.values import value_object

if TYPE_CHECKING:
    from sipcore.invite_usage import UnacknowledgedSuccess
    from sipcore.reliable import Provisionals
    from sipcore.transaction import Transaction

# RFC 3261 §12.2, RFC 3311 §5.1, RFC 6665 §3.1, RFC 3515 §2.4.4: the Contact of these moves the remote target.
TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})


class DialogState(Enum):
    """`TRYING` before the response that creates it; `TERMINATING` from BYE until its response."""

    TRYING = "trying"
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


@value_object(frozen=True, slots=True)
class DialogView:
    """A dialog as it is now. `local_uri` and `remote_uri` are From and To values without their tags' meaning:

    whole header values, tag included once it is known.
    """

    id: DialogId
    call_id: str
    local_tag: str
    remote_tag: str | None
    local_uri: str
    remote_uri: str
    remote_target: Uri
    route_set: tuple[str, ...]
    state: DialogState
    flow: Flow
    is_uac: bool


@value_object(frozen=True, slots=True)
class SavedDialog:
    """What a dialog without INVITE is made of again in another process. URIs and CSeq as in RFC 3261 §12.1."""

    call_id: str
    local_tag: str
    remote_tag: str | None
    local_uri: str
    remote_uri: str
    remote_target: str
    route_set: tuple[str, ...]
    local_cseq: int
    remote_cseq: int | None
    flow: Flow


class Dialog(Clock):
    """The state of one dialog. `local` and `remote` are the values of From and To in our requests.

    Its clock runs while it is TERMINATING without a BYE under way: how long another may come (a challenged BYE).
    """

    __slots__ = (
        "bye",
        "call_id",
        "deferred_bye",
        "flow",
        "has_invite",
        "hop",
        "id",
        "invite_client",
        "invite_server",
        "is_uac",
        "last_reliable",
        "local",
        "local_cseq",
        "local_tag",
        "negotiation",
        "provisionals",
        "remote",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "request_uri",
        "route_set",
        "routes",
        "state",
        "to_acknowledge",
        "unacknowledged",
        "update_server",
        "usages",
    )

    def __init__(self, id_: DialogId, call_id: str, flow: Flow, *, is_uac: bool) -> None:
        self.id = id_
        self.call_id = call_id
        self.flow = flow
        self.is_uac = is_uac
        self.state = DialogState.TRYING
        self.local_tag = self.local = self.remote = ""
        # RFC 3261 §12.1: a peer of RFC 2543 has no tag; its value is then null.
        self.remote_tag: str | None = None
        self.local_cseq = 0
        self.remote_cseq: int | None = None
        self.remote_target = self.request_uri = ""
        self.route_set: tuple[str, ...] = ()
        self.routes: tuple[str, ...] = ()
        self.hop: NextHop | None = None
        # RFC 5057: an INVITE and any number of subscriptions may use one dialog; it lives as long as one of them.
        self.has_invite = True
        self.usages = 0

        # The INVITE under way in each direction, and the one whose 2xx waits for the transaction user's ACK.
        self.invite_server: Transaction | None = None
        self.invite_client: Transaction | None = None
        self.to_acknowledge: Transaction | None = None
        self.unacknowledged: UnacknowledgedSuccess | None = None
        # RFC 3262: reliable provisional responses of ours, and (CSeq, RSeq) of the last one that the peer sent.
        self.provisionals: Provisionals | None = None
        self.last_reliable: tuple[int, int] | None = None
        # RFC 3311 §5.2: the UPDATE that waits for our response, and whose offer is pending.
        self.update_server: Transaction | None = None
        self.negotiation = Negotiation()
        # The BYE under way, and one that has to wait for the ACK (RFC 3261 §15).
        self.bye: Transaction | None = None
        self.deferred_bye: Transaction | None = None

    @property
    def established(self) -> bool:
        """True once the transaction user has reason to know of it."""
        return self.state is DialogState.EARLY or self.state is DialogState.CONFIRMED

    def next_cseq(self) -> int:
        """The CSeq number of our next request."""
        self.local_cseq += 1
        return self.local_cseq

    def set_remote_target(self, uri: str) -> None:
        """Make `uri` what the peer is reached at."""
        self.remote_target = uri
        self._set_request_line()

    def set_route_set(self, route_set: tuple[str, ...]) -> None:
        """Fix the route set; only the 2xx that confirms an early dialog may do it again (§13.2.2.4)."""
        self.route_set = route_set
        self._set_request_line()

    def refresh_target(self, message: Message) -> None:
        """Take the remote target from a Contact, when there is a usable one."""
        uri = contact_uri(message)
        if uri is not None and uri != self.remote_target:
            self.set_remote_target(uri)

    def next_hop(self) -> NextHop:
        """Where our requests go by the RFC: the first route, else the remote target."""
        if self.hop is None:
            uri = request_uri_of(self.route_set[0]) if self.route_set else self.remote_target
            self.hop = next_hop(Uri.parse(uri))
        return self.hop

    def view(self) -> DialogView:
        return DialogView(
            id=self.id,
            call_id=self.call_id,
            local_tag=self.local_tag,
            remote_tag=self.remote_tag,
            local_uri=self.local,
            remote_uri=self.remote,
            remote_target=Uri.parse(self.remote_target),
            route_set=self.route_set,
            state=self.state,
            flow=self.flow,
            is_uac=self.is_uac,
        )

    def saved(self) -> SavedDialog:
        return SavedDialog(
            call_id=self.call_id,
            local_tag=self.local_tag,
            remote_tag=self.remote_tag,
            local_uri=self.local,
            remote_uri=self.remote,
            remote_target=self.remote_target,
            route_set=self.route_set,
            local_cseq=self.local_cseq,
            remote_cseq=self.remote_cseq,
            flow=self.flow,
        )

    def _set_request_line(self) -> None:
        route_set = self.route_set
        self.hop = None
        if not route_set or is_loose(route_set[0]):
            self.request_uri, self.routes = self.remote_target, route_set
        else:
            # RFC 3261 §12.2.1.1: a strict router wants itself in the Request-URI, the target comes last.
            self.request_uri = request_uri_of(route_set[0])
            self.routes = (*route_set[1:], f"<{self.remote_target}>")


DialogKey = tuple[str, str, str | None]


def contact_uri(message: Message) -> str | None:
    """The URI of the first Contact; None when there is none, or none that can be dialled."""
    contact = message.contact
    if contact is None or contact.uri.scheme not in ("sip", "sips"):
        return None
    return request_uri(contact.uri)


def request_uri(uri: Uri) -> str:
    """A URI of somebody's as a request line may have it: without `method` and headers (RFC 3261 §19.1.1)."""
    if uri.headers or "method" in uri.params:
        kept = {name: value for name, value in uri.params.items() if name != "method"}
        uri = uri.replace(headers={}, params=kept)
    return str(uri)


def is_loose(route: str) -> bool:
    """True when the route's URI has the `lr` parameter."""
    start, end = route.find("<"), route.rfind(">")
    uri = route[start + 1 : end] if 0 <= start < end else route
    parameters = uri.partition("?")[0].split(";")[1:]
    return any(p.partition("=")[0].strip().lower() == "lr" for p in parameters)


def request_uri_of(route: str) -> str:
    """The URI of a route, without what a Request-URI may not have (§19.1.1: `method` and headers)."""
    start, end = route.find("<"), route.rfind(">")
    uri = route[start + 1 : end] if 0 <= start < end else route
    head, *parameters = uri.partition("?")[0].split(";")
    kept = [p for p in parameters if p.partition("=")[0].strip().lower() != "method"]
    return ";".join([head, *kept])


class DialogTable:
    """The dialogs of one endpoint, by id and by Call-ID and tags."""

    __slots__ = ("_by_connection", "_by_id", "_by_key", "_last_id", "get")

    def __init__(self) -> None:
        self._by_id: dict[DialogId, Dialog] = {}
        self._by_key: dict[DialogKey, Dialog] = {}
        self._by_connection: dict[Flow, set[Dialog]] = {}
        self._last_id = 0
        # The dialog of this id, while it lives.
        self.get: Final = self._by_id.get

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, request: Request) -> Dialog | None:
        """The dialog that an incoming request names: our tag in To, the peer's in From."""
        return self._by_key.get((request.call_id, request.to.tag or "", request.from_.tag))

    def open_uas(self, request: Request, local_tag: str, flow: Flow) -> Dialog:
        """RFC 3261 §12.1.1: the dialog that a response with `local_tag` to this request will create."""
        dialog = Dialog(self._new_id(), request.call_id, flow, is_uac=False)
        headers = request.headers
        dialog.local_tag = local_tag
        dialog.local = f"{headers.get('To', '')};tag={local_tag}"
        dialog.remote_tag = request.from_.tag
        dialog.remote = headers.get("From", "") or ""
        dialog.remote_cseq = request.cseq.number
        # A Contact is a MUST in INVITE; a peer that leaves it out is reached by its From.
        dialog.remote_target = contact_uri(request) or request_uri(request.from_.uri)
        dialog.set_route_set(tuple(headers.get_all("Record-Route")))
        self._add(dialog)
        return dialog

    def open_uac(self, request: Request, response: Response, flow: Flow) -> Dialog:
        """RFC 3261 §12.1.2: the dialog that this response to our request created."""
        dialog = Dialog(self._new_id(), request.call_id, flow, is_uac=True)
        dialog.local_tag = request.from_.tag or ""
        dialog.local = request.headers.get("From", "") or ""
        dialog.remote_tag = response.to.tag
        dialog.remote = response.headers.get("To", "") or ""
        dialog.local_cseq = request.cseq.number
        dialog.remote_target = contact_uri(response) or request.uri_text
        dialog.set_route_set(tuple(reversed(response.headers.get_all("Record-Route"))))
        self._add(dialog)
        return dialog

    def open_notified(self, subscribe: Request, notify: Request, flow: Flow) -> Dialog:
        """RFC 6665 §4.4.1: the dialog that a NOTIFY for this SUBSCRIBE (or REFER) of ours creates."""
        dialog = Dialog(self._new_id(), notify.call_id, flow, is_uac=True)
        dialog.has_invite = False
        dialog.state = DialogState.CONFIRMED
        dialog.local_tag = subscribe.from_.tag or ""
        dialog.local = subscribe.headers.get("From", "") or ""
        dialog.remote_tag = notify.from_.tag
        dialog.remote = notify.headers.get("From", "") or ""
        dialog.local_cseq = subscribe.cseq.number
        dialog.remote_target = contact_uri(notify) or subscribe.uri_text
        dialog.set_route_set(tuple(notify.headers.get_all("Record-Route")))
        self._add(dialog)
        return dialog

    def open_saved(self, saved: SavedDialog) -> Dialog | None:
        """The dialog of a process before this one, as its notifier had it; None when there is one of its names."""
        if (saved.call_id, saved.local_tag, saved.remote_tag) in self._by_key:
            return None
        dialog = Dialog(self._new_id(), saved.call_id, saved.flow, is_uac=False)
        dialog.has_invite = False
        dialog.state = DialogState.CONFIRMED
        dialog.local_tag, dialog.local = saved.local_tag, saved.local_uri
        dialog.remote_tag, dialog.remote = saved.remote_tag, saved.remote_uri
        dialog.local_cseq, dialog.remote_cseq = saved.local_cseq, saved.remote_cseq
        dialog.remote_target = saved.remote_target
        dialog.set_route_set(saved.route_set)
        self._add(dialog)
        return dialog

    def named(self, call_id: str, local_tag: str, remote_tag: str | None) -> Dialog | None:
        """The dialog of these identifiers, as we see it."""
        return self._by_key.get((call_id, local_tag, remote_tag))

    def set_flow(self, dialog: Dialog, flow: Flow) -> None:
        """The peer was last heard on `flow`."""
        if flow is dialog.flow or flow == dialog.flow:
            return
        self._leave_connection(dialog)
        dialog.flow = flow
        self._join_connection(dialog)

    def lose_flow(self, flow: Flow) -> None:
        """A connection is gone: its dialogs go on over a new one to the same remote."""
        for dialog in self._by_connection.pop(flow, ()):
            dialog.flow = replace(flow, connection=0)

    def remove(self, dialog: Dialog) -> bool:
        """Take it out of the table; False when it was not there."""
        if self._by_id.pop(dialog.id, None) is None:
            return False
        self._by_key.pop((dialog.call_id, dialog.local_tag, dialog.remote_tag), None)
        if dialog.flow.connection:
            self._leave_connection(dialog)
        return True

    def _add(self, dialog: Dialog) -> None:
        self._by_id[dialog.id] = dialog
        self._by_key[dialog.call_id, dialog.local_tag, dialog.remote_tag] = dialog
        if dialog.flow.connection:
            self._join_connection(dialog)

    def _new_id(self) -> DialogId:
        self._last_id += 1
        return DialogId(self._last_id)

    def _join_connection(self, dialog: Dialog) -> None:
        if dialog.flow.connection:
            self._by_connection.setdefault(dialog.flow, set()).add(dialog)

    def _leave_connection(self, dialog: Dialog) -> None:
        neighbours = self._by_connection.get(dialog.flow) if dialog.flow.connection else None
        if neighbours is not None:
            neighbours.discard(dialog)
            if not neighbours:
                del self._by_connection[dialog.flow]
