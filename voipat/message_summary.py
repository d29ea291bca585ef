"""message-summary (RFC 3842): how many messages wait, as a phone's lamp wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voipat.subscriptions import Notifier, Resource

PACKAGE = "message-summary"
CONTENT_TYPE = "application/simple-message-summary"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Counts of voice messages: new and old, and how many of each are urgent."""

    new: int = 0
    old: int = 0
    urgent_new: int = 0
    urgent_old: int = 0


def summary(mailbox: Mailbox, account: str) -> bytes:
    """The body of a NOTIFY: RFC 3842 §5.2; `account` is where the phone calls to listen."""
    waiting = "yes" if mailbox.new else "no"
    counts = f"{mailbox.new}/{mailbox.old} ({mailbox.urgent_new}/{mailbox.urgent_old})"
    return f"Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {counts}\r\n".encode()


def message_summary(
    mailbox_of: Callable[[Resource], Mailbox | None], account_of: Callable[[Resource], str] | None = None
) -> Notifier:
    """A notifier of mailboxes; None is nobody's. Phones that never subscribe are told at each REGISTER."""

    def state_of(resource: Resource) -> bytes | None:
        mailbox = mailbox_of(resource)
        if mailbox is None:
            return None
        return summary(mailbox, str(resource.uri) if account_of is None else account_of(resource))

    return Notifier(PACKAGE, CONTENT_TYPE, state_of, unsolicited=True)
