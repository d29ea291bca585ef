"""RFC 6665 §4.2.1: a SUBSCRIBE makes a dialog when it is accepted, and only then."""

from __future__ import annotations

import pytest

from tests.endpoints import Side, request_bytes


@pytest.mark.rfc("6665", "4.2.1", "Notifiers MUST NOT create subscriptions except upon receipt of a SUBSCRIBE request.")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER"])
def test_a_request_that_nobody_answers_leaves_no_dialog(method: str) -> None:
    # "[the notifier] creates a new dialog" with its 2xx alone: without a final response neither side has one.
    side = Side()
    side.receive(request_bytes(method, "Event: presence", "Refer-To: <sip:c@10.0.0.3>"))
    assert side.endpoint.dialog_count == 1
    assert side.leaks() == (0, 0)
