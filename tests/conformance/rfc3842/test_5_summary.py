"""RFC 3842 §5: the body of message-summary."""

from __future__ import annotations

import pytest

from voipat import Mailbox
from voipat.message_summary import summary


@pytest.mark.rfc("3842", "5.2")
@pytest.mark.parametrize(
    ("mailbox", "waiting", "counts"),
    [
        (Mailbox(), "no", "0/0 (0/0)"),
        (Mailbox(old=3), "no", "0/3 (0/0)"),
        (Mailbox(new=2, old=8, urgent_new=1), "yes", "2/8 (1/0)"),
    ],
)
def test_the_status_line_comes_first_and_then_the_counts(mailbox: Mailbox, waiting: str, counts: str) -> None:
    """ "The [...] body MUST begin with a message summary status line"."""
    lines = summary(mailbox, "sip:1001@office.test").decode().split("\r\n")
    assert lines == [
        f"Messages-Waiting: {waiting}",
        "Message-Account: sip:1001@office.test",
        f"Voice-Message: {counts}",
        "",
    ]
