"""RFC 5393: loops are found, spirals pass, and a fork is never broader than the request allows."""

from __future__ import annotations

import pytest

from sipcore.parser import parse_message
from tests.endpoints import request_bytes
from tests.proxy_side import CAROL, DAVE, ProxySide, request_of


def come_back(side: ProxySide, data: bytes, uri: str) -> None:
    """The request that was sent comes back by another element, for `uri`."""
    head, _, rest = data.partition(b"\r\n")
    del head
    via = b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKloop"
    side.receive(f"INVITE {uri} SIP/2.0".encode() + b"\r\n" + via + b"\r\n" + rest)


@pytest.mark.rfc(
    "5393",
    "4.1",
    "When a SIP proxy forks a particular request to more than one location, it MUST ensure that request is not "
    "looping through this proxy.",
)
@pytest.mark.rfc(
    "5393",
    "4.2.2",
    "Proxies required to perform loop detection by RFC 5393 MUST perform the following loop-detection test before "
    "forwarding a request.",
)
def test_a_request_that_comes_back_unchanged_is_a_loop() -> None:
    # "If the second parts match, the request has looped" and "the proxy MUST reject the request with a 482".
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    come_back(side, sent.data, "sip:bob@example.com")
    assert side.to_alice()[-1].status == 482


@pytest.mark.rfc(
    "5393",
    "4.2.2",
    "Proxies required to perform loop detection by RFC 5393 MUST perform the following loop-detection test before "
    "forwarding a request.",
)
def test_a_request_that_comes_back_for_somebody_else_is_a_spiral_and_passes() -> None:
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    come_back(side, sent.data, "sip:carol@example.com")
    assert side.to_alice() == []
    assert len([each for each in side.events if type(each).__name__ == "RelayReceived"]) == 2


@pytest.mark.rfc("5393", "5.3.3.2")
def test_max_breadth_is_shared_out_among_the_branches() -> None:
    # "The sum of the outgoing Max-Breadth values MUST NOT exceed the incoming value".
    side = ProxySide()
    event = side.invite("Max-Breadth: 5")
    branches = side.relay(event, [CAROL, DAVE])
    assert [request_of(sent).headers.get("Max-Breadth") for sent in branches] == ["2", "2"]


@pytest.mark.rfc("5393", "5.3.3.1")
def test_a_request_without_the_header_may_be_spread_over_sixty() -> None:
    # "it MUST be set to [...] a default value of 60".
    side = ProxySide()
    branches = side.relay(side.invite(), [CAROL, DAVE])
    assert [request_of(sent).headers.get("Max-Breadth") for sent in branches] == ["30", "30"]


@pytest.mark.rfc("5393", "5.3.3.3")
def test_a_fork_broader_than_allowed_gets_440() -> None:
    # "If the proxy cannot [...] it MUST return a 440 (Max-Breadth Exceeded)".
    side = ProxySide()
    event = side.invite("Max-Breadth: 1")
    assert [parse_message(each.data).cseq.method for each in side.relay(event, [CAROL, DAVE])] == ["INVITE"]
    assert [each.status for each in side.to_alice()] == [440]


@pytest.mark.rfc(
    "5393",
    "5.3.3",
    "If a SIP proxy receives a request with no Max-Breadth header field value, it MUST add one, with a value that "
    "is RECOMMENDED to be 60. Proxies MUST have a maximum allowable Incoming Max-Breadth value, which is "
    "RECOMMENDED to be 60.",
)
def test_a_request_without_the_header_gets_it_also_when_it_goes_to_one_place() -> None:
    side = ProxySide()
    [sent] = side.relay(side.invite(), [CAROL])
    assert request_of(sent).headers.get("Max-Breadth") == "60"


@pytest.mark.rfc("5393", "5.3.3.2")
def test_contacts_of_a_redirection_that_are_more_than_the_breadth_are_tried_one_after_another() -> None:
    # "The sum of the outgoing Max-Breadth values MUST NOT exceed the incoming value", of branches under way together.
    side = ProxySide()
    [sent] = side.relay(side.invite("Max-Breadth: 2"), [CAROL], recurse=True)
    contacts = ", ".join(f"<sip:bob@10.0.0.{number}>" for number in (5, 6, 7))
    caused = [each for each in side.answer(sent, 302, f"Contact: {contacts}") if b"INVITE sip" in each.data[:10]]
    assert [request_of(each).headers.get("Max-Breadth") for each in caused] == ["1", "1"]
    for each in caused:
        assert side.to_alice() == []
        side.answer(each, 486)
    last = side.sent[-1]
    assert (last.flow.remote.host, request_of(last).headers.get("Max-Breadth")) == ("10.0.0.7", "2")


def test_one_after_another_each_branch_has_the_whole_breadth() -> None:
    side = ProxySide()
    [first] = side.relay(side.invite("Max-Breadth: 1"), [CAROL], [DAVE])
    side.answer(first, 486)
    assert request_of(side.sent[-1]).headers.get("Max-Breadth") == "1"


def test_a_max_breadth_that_is_no_number_is_the_default() -> None:
    side = ProxySide()
    side.receive(request_bytes("INVITE", "Max-Forwards: 9", "Max-Breadth: -", uri="sip:bob@example.com"))
    event = side.events[-1]
    assert len(side.relay(event, [CAROL, DAVE])) == 2  # type: ignore[arg-type]
