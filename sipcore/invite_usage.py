"""What an INVITE makes of its dialog: RFC 3261 §13 (2xx and ACK), §14 (one INVITE at a time), §15 (BYE).

The 2xx of the UAS core is repeated until the ACK comes, on every transport (§13.3.1.4). Which responses
end the usage: `usages`.
"""

from __future__ import annotations

from math import inf

from sipcore.dialog import Dialog, DialogState
from sipcore.events import DialogEnded
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.negotiation import Pending
from sipcore.outputs import Output
from sipcore.refusals import Refusal
from sipcore.state import EndpointState
from sipcore.timers import Clock, Timers
from sipcore.transaction import State, Transaction


class UnacknowledgedSuccess(Clock):
    """A 2xx to INVITE that is repeated until its ACK comes; given up after 64*T1."""

    __slots__ = (
        "cseq",
        "data",
        "dialog",
        "flow",
        "owes_answer",
        "timers",
    )

    def __init__(self, dialog: Dialog, cseq: int, data: bytes, flow: Flow, timers: Timers, now: float) -> None:
        self.dialog = dialog
        self.cseq = cseq
        self.data = data
        self.flow = flow
        self.timers = timers
        self.repeat(timers.t1, now)
        self.expire_at = now + timers.timeout
        # The 2xx held an offer: until the ACK brings the answer, a re-INVITE has to wait (RFC 3261 §14.2).
        self.owes_answer = False

    def repeated(self, now: float) -> None:
        """Set the next repetition: T1, doubling up to T2."""
        self.repeat(min(self.interval * 2, self.timers.t2), now)


def invite_refusal(dialog: Dialog) -> Refusal | None:
    """Why an INVITE within the dialog must be refused now (RFC 3261 §14.2), or None."""
    if dialog.invite_server is not None:
        return Refusal.OVERLAPPING
    if dialog.invite_client is not None:
        return Refusal.CROSSING
    if dialog.unacknowledged is not None and dialog.unacknowledged.owes_answer:
        return Refusal.CROSSING
    return offer_refusal(dialog)


def update_refusal(dialog: Dialog, *, has_offer: bool) -> Refusal | None:
    """Why an UPDATE must be refused now (RFC 3311 §5.2), or None."""
    if dialog.update_server is not None:
        return Refusal.OVERLAPPING
    return offer_refusal(dialog) if has_offer else None


def offer_refusal(dialog: Dialog) -> Refusal | None:
    """491 while our offer waits for its answer, 500 while the peer's does (RFC 3311 §5.2, RFC 6337 §4)."""
    pending = dialog.negotiation.pending
    if pending is Pending.NONE:
        return None
    return Refusal.CROSSING if pending is Pending.OURS else Refusal.OVERLAPPING


def stop_repeating(dialog: Dialog) -> None:
    """The ACK is there, or no longer matters."""
    if dialog.unacknowledged is not None:
        dialog.unacknowledged.stop()
        dialog.unacknowledged = None


def drop_provisionals(dialog: Dialog) -> None:
    """The INVITE that they belong to has failed, or its dialog ends."""
    if dialog.provisionals is not None:
        dialog.provisionals.stop()
        dialog.provisionals = None


def end_dialog(state: EndpointState, dialog: Dialog, now: float, out: list[Output]) -> None:
    """Take the dialog out of the table, and tell of it when the transaction user knew it.

    While a subscription uses it too, only the INVITE's usage ends (RFC 5057 §4.2).
    """
    if dialog.usages and dialog.state is not DialogState.TRYING:
        _end_invite(state, dialog, now)
        dialog.state = DialogState.TERMINATING
        return
    if not state.dialogs.remove(dialog):
        return
    was_known = dialog.state is not DialogState.TRYING
    dialog.state = DialogState.TERMINATED
    _end_invite(state, dialog, now)
    dialog.negotiation.close()
    if was_known:
        out.append(DialogEnded(dialog.id))


def close_usage(state: EndpointState, dialog: Dialog, now: float, out: list[Output]) -> None:
    """A subscription is over; the dialog goes with the last usage."""
    dialog.usages = max(dialog.usages - 1, 0)
    is_ended = dialog.state is DialogState.TERMINATING and dialog.bye is None and dialog.deferred_bye is None
    if not dialog.usages and (is_ended or not dialog.has_invite):
        end_dialog(state, dialog, now, out)


def _end_invite(state: EndpointState, dialog: Dialog, now: float) -> None:
    dialog.has_invite = False
    dialog.expire_at = inf
    stop_repeating(dialog)
    drop_provisionals(dialog)
    pending = dialog.invite_client
    if pending is not None and pending.state is State.PROCEEDING:
        # Nobody will cancel it any more; without this a peer that never answers would keep it for ever.
        pending.give_up_after(state.timers.timeout, now)
        state.transactions.settle(pending)
    dialog.invite_client = dialog.invite_server = dialog.to_acknowledge = dialog.bye = dialog.deferred_bye = None


def end_early_dialogs(state: EndpointState, transaction: Transaction, now: float, out: list[Output]) -> None:
    """The INVITE has its last response: dialogs that no 2xx confirmed are gone (RFC 3261 §13.2.2.3, §13.2.2.4)."""
    for dialog in (transaction.forks or {}).values():
        dialog.invite_client = None
        if dialog.state is DialogState.EARLY:
            end_dialog(state, dialog, now, out)


def ack_headers(request: Request) -> list[tuple[str, str]]:
    """RFC 3261 §13.2.2.4: the ACK has the same credentials as the INVITE."""
    names = ("Authorization", "Proxy-Authorization")
    return [(name, value) for name in names for value in request.headers.get_all(name)]
