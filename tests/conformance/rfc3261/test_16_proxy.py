"""RFC 3261 §16: what a stateful proxy does with requests, responses, CANCEL and Timer C."""

from __future__ import annotations

import pytest

from sipcore.events import RelayEnded
from sipcore.flow import Flow
from sipcore.message import Response
from sipcore.parser import parse_message
from tests.endpoints import ALICE, BOB, request_bytes
from tests.proxy_side import CAROL, DAVE, ProxySide, in_dialog_bytes, request_of


@pytest.mark.rfc(
    "3261",
    "16.3",
    "If the request contains a Max-Forwards header field with a field value of zero (0), the element MUST NOT "
    "forward the request. If the request was for OPTIONS, the element MAY act as the final recipient and respond "
    "per Section 11. Otherwise, the element MUST return a 483 (Too many hops) response.",
)
def test_a_request_without_forwards_left_gets_483() -> None:
    side = ProxySide()
    side.receive(request_bytes("INVITE", "Max-Forwards: 0", uri="sip:bob@example.com"))
    assert [each.status for each in side.to_alice()] == [483]


@pytest.mark.rfc(
    "3261",
    "16.3",
    "… with one or more option-tags this element does not understand, the element MUST return a 420 (Bad Extension) "
    "response. The response MUST include an Unsupported … header field listing those option-tags the element did not "
    "understand.",
)
def test_an_option_of_proxy_require_that_is_not_known_gets_420_with_its_name() -> None:
    # "If a proxy receives a request with a Proxy-Require it does not understand it MUST return a 420 (Bad Extension)
    # response. The response MUST include an Unsupported header field".
    side = ProxySide()
    side.receive(request_bytes("INVITE", "Max-Forwards: 9", "Proxy-Require: privacy, x", uri="sip:bob@example.com"))
    [response] = side.to_alice()
    assert (response.status, response.headers.get("Unsupported")) == (420, "privacy, x")


@pytest.mark.rfc(
    "5393",
    "4.2.1",
    "Add a Via Header Field Value The proxy MUST insert a Via header field value into the copy before the existing "
    "Via header field values.",
)
@pytest.mark.rfc(
    "3261",
    "16.6",
    "The copy MUST initially contain all of the header fields from the received request. Fields not detailed in the "
    "processing described below MUST NOT be removed. … The proxy MUST NOT add to, modify, or remove the message "
    "body.",
)
def test_the_copy_has_our_via_one_forward_less_and_the_targets_uri_and_nothing_else_is_changed() -> None:
    # "The proxy MUST decrement the value [of Max-Forwards] by one"; "MUST insert a Via header field value into the
    # copy before the existing Via header field values"; unknown fields stay.
    side = ProxySide()
    event = side.invite("X-Unknown: kept", "Subject: a, b", body=b"body")
    [sent] = side.relay(event, [CAROL])
    copy = request_of(sent)
    assert copy.uri_text == "sip:bob@10.0.0.3:5060"
    assert copy.max_forwards == 69
    assert [via.host for via in copy.vias] == [BOB.host, ALICE.host]
    assert (copy.headers.get("X-Unknown"), copy.headers.get("Subject"), copy.body) == ("kept", "a, b", b"body")
    assert copy.headers.get("Contact") == "<sip:alice@10.0.0.1:5060>"
    assert (copy.call_id, copy.from_.tag, copy.to.tag) == ("call-1", "a1", None)
    assert sent.flow.remote == CAROL


@pytest.mark.rfc(
    "3261",
    "16.6",
    "If the copy does not contain a Max-Forwards header field, the proxy MUST add one with a field value, which "
    "SHOULD be 70.",
)
def test_without_max_forwards_the_copy_has_70() -> None:
    # "If the copy does not contain a Max-Forwards header field, the proxy MUST add one with a field value [of] 70."
    side = ProxySide()
    side.receive(request_bytes("INVITE", uri="sip:bob@example.com"))
    [sent] = side.relay(side.event(type(side.events[-1])), [CAROL])  # type: ignore[arg-type]
    assert request_of(sent).max_forwards == 70


@pytest.mark.rfc(
    "3261",
    "16.6",
    "If the copy contains a Route header field, the proxy MUST inspect the URI in its first value.",
)
def test_a_route_to_another_proxy_is_followed_and_the_request_uri_left_alone() -> None:
    # Step 7: the next hop is the first Route; step 2 puts the target into the request line.
    side = ProxySide()
    event = side.invite("Route: <sip:10.0.0.4;lr>")
    [sent] = side.relay(event, [CAROL])
    assert sent.flow.remote == DAVE
    assert request_of(sent).uri_text == "sip:bob@10.0.0.3:5060"


@pytest.mark.rfc(
    "3261",
    "16.6",
    "… the proxy MUST modify the copy as follows: … The proxy MUST place the Request-URI into the Route header field "
    "as the last value. … The proxy MUST then place the first Route header field value into the Request-URI and "
    "remove that value from the Route header field.",
)
def test_a_strict_router_gets_its_own_uri_in_the_request_line() -> None:
    # Step 6: "the proxy MUST place the Request-URI into the Route header field as the last value [...] then place the
    # first Route header field value into the Request-URI and remove that value".
    side = ProxySide()
    event = side.invite("Route: <sip:10.0.0.4>, <sip:10.0.0.9;lr>")
    [sent] = side.relay(event, [CAROL])
    copy = request_of(sent)
    assert copy.uri_text == "sip:10.0.0.4"
    assert copy.headers.get_all("Route") == ["<sip:10.0.0.9;lr>", "<sip:bob@10.0.0.3:5060>"]
    # Step 7: "If the proxy has reformatted the request to send to a strict-routing element […], the proxy MUST apply
    # those procedures to the Request-URI of the request", and not to what is the first Route by now.
    assert sent.flow.remote == DAVE


@pytest.mark.parametrize("method", ["ACK", "BYE"])
def test_a_strict_router_within_the_dialog_gets_the_request_too(method: str) -> None:
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    [ours] = request_of(sent).headers.get_all("Record-Route")
    side.answer(sent, 200, f"Record-Route: {ours}")
    before = len(side.sent)
    route = [ours, "<sip:10.0.0.4>"]
    side.receive(in_dialog_bytes(method, route, uri="sip:peer@10.0.0.3:5060", cseq=1 if method == "ACK" else 2))
    [passed] = side.sent[before:]
    copy = request_of(passed)
    assert (passed.flow.remote, copy.uri_text) == (DAVE, "sip:10.0.0.4")
    assert copy.headers.get_all("Route") == ["<sip:peer@10.0.0.3:5060>"]


@pytest.mark.parametrize(("status", "answers"), [(180, []), (486, [502]), (200, [502])])
def test_a_response_that_has_lost_the_callers_via_is_not_forwarded(status: int, answers: list[int]) -> None:
    # §16.7, step 3: "If no Via header field values remain in the response, the response was meant for this element and
    # MUST NOT be forwarded."
    side = ProxySide()
    [sent] = side.relay(side.invite(), [CAROL])
    flow = Flow(sent.flow.transport, sent.flow.local, sent.flow.remote, sent.flow.connection)
    ours, theirs = request_of(sent).headers.get_all("Via")
    response = side.peer_response(status, of=sent.data)
    assert ours.encode() in response and theirs.encode() in response
    side.receive(response.replace(f"Via: {theirs}\r\n".encode(), b""), flow)
    assert [each.status for each in side.to_alice()] == answers


@pytest.mark.rfc(
    "3261",
    "16.7",
    "The proxy removes the topmost Via header field value from the response. … Until a final response has been sent "
    "on the server transaction, the following responses MUST be forwarded immediately: … Any provisional response "
    "other than 100 (Trying)",
)
def test_a_provisional_response_goes_back_at_once_without_our_via_and_100_does_not() -> None:
    # Step 3: "The proxy removes the topmost Via header field value"; step 5: "any provisional response other than 100".
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    assert side.answer(sent, 100, to_tag="") == []
    [back] = side.answer(sent, 180, "X-Ring: yes")
    response = parse_message(back.data)
    assert isinstance(response, Response)
    assert (response.status, response.to.tag, response.headers.get("X-Ring")) == (180, "b1", "yes")
    assert [via.branch for via in response.vias] == ["z9hG4bKpeer1"]
    assert back.flow.remote == ALICE


@pytest.mark.rfc(
    "3261",
    "16.7",
    "After a final response has been sent on the server transaction, the following responses MUST be forwarded "
    "immediately: … Any 2xx response to an INVITE request … If the forwarded response was a final response, the "
    "proxy MUST generate a CANCEL request for all pending client transactions associated with this response context.",
)
def test_every_2xx_to_an_invite_goes_back_and_the_other_branches_are_cancelled() -> None:
    # Step 5: "any 2xx response to an INVITE request"; step 10: "it MUST generate a CANCEL request for all pending
    # client transactions".
    side = ProxySide()
    event = side.invite()
    first, second = side.relay(event, [CAROL, DAVE])
    side.answer(first, 180, to_tag="c1")
    side.answer(second, 180, to_tag="d1")
    caused = side.answer(first, 200, to_tag="c1")
    assert [parse_message(each.data).cseq.method for each in caused] == ["INVITE", "CANCEL"]
    cancel = request_of(caused[1])
    assert caused[1].flow.remote == DAVE
    assert cancel.headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert cancel.via.branch == request_of(second).via.branch
    side.answer(second, 200, to_tag="d1")
    assert [(each.status, each.to.tag) for each in side.to_alice()][-2:] == [(200, "c1"), (200, "d1")]


@pytest.mark.rfc(
    "6026",
    "7.3",
    "When receiving any SIP response, a transaction-stateful proxy MUST compare the transaction identifier in that "
    "response against its existing transaction state machines.",
)
@pytest.mark.rfc(
    "3261",
    "16.7",
    "After a final response has been sent on the server transaction, the following responses MUST be forwarded "
    "immediately: … Any 2xx response to an INVITE request",
)
def test_a_repeated_2xx_goes_back_again() -> None:
    # "forward [...] retransmissions of 2xx responses" - with RFC 6026 by the Accepted state of both transactions.
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    side.answer(sent, 200)
    side.answer(sent, 200)
    assert [each.status for each in side.to_alice()] == [200, 200]


@pytest.mark.rfc(
    "3261",
    "16.7",
    'The stateful proxy MUST choose the "best" final response among those received and stored in the response '
    "context. … It MUST choose from the 6xx class responses if any exist in the context. If no 6xx class responses "
    "are present, the proxy SHOULD choose from the lowest response class stored in the response context.",
)
@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((404, 486), 404),
        ((486, 404), 404),
        ((302, 404), 302),
        ((500, 486), 486),
        ((603, 302), 603),
        ((486, 407), 407),
        ((404, 401), 401),
        ((408, 486), 486),
        ((484, 404), 484),
        ((503, 503), 500),
        ((503, 501), 501),
        ((487, 480), 480),
    ],
)
def test_the_best_of_the_final_responses_is_chosen(statuses: tuple[int, int], best: int) -> None:
    # Step 6: "It MUST choose from the 6xx class responses if any exist [...] otherwise the lowest response class";
    # "A proxy which receives a 503 (Service Unavailable) response SHOULD NOT forward it upstream".
    side = ProxySide()
    event = side.invite()
    branches = side.relay(event, [CAROL, DAVE])
    for sent, status in zip(branches, statuses, strict=True):
        assert side.to_alice() == []
        side.answer(sent, status)
    assert [each.status for each in side.to_alice()] == [best]


@pytest.mark.rfc(
    "8760",
    "2.5",
    "Each WWW-Authenticate and Proxy-Authenticate value received in response to the forked request MUST be placed "
    "into the single response that is sent by the forking proxy to the UAC.",
)
@pytest.mark.rfc(
    "3261",
    "16.7",
    "If the selected response is a 401 (Unauthorized) or 407 (Proxy Authentication Required), the proxy MUST collect "
    "any WWW-Authenticate and Proxy-Authenticate header field values from all other 401 (Unauthorized) and 407 "
    "(Proxy Authentication Required) responses received so far in this response context and add them to this "
    "response without modification before forwarding.",
)
def test_challenges_of_all_branches_are_put_together() -> None:
    # Step 7: "the proxy MUST collect any WWW-Authenticate and Proxy-Authenticate header field values from all other
    # 401 (Unauthorized) and 407 (Proxy Authentication Required) responses [...] and add them".
    side = ProxySide()
    event = side.invite()
    first, second = side.relay(event, [CAROL, DAVE])
    side.answer(first, 401, 'WWW-Authenticate: Digest realm="c", nonce="1"')
    side.answer(second, 407, 'Proxy-Authenticate: Digest realm="d", nonce="2"')
    [response] = side.to_alice()
    assert response.headers.get_all("WWW-Authenticate") == ['Digest realm="c", nonce="1"']
    assert response.headers.get_all("Proxy-Authenticate") == ['Digest realm="d", nonce="2"']


@pytest.mark.rfc(
    "3261",
    "16.7",
    "If a 6xx response is received, it is not immediately forwarded, but the stateful proxy SHOULD cancel all "
    "client pending transactions …, and it MUST NOT create any new branches in this context.",
)
def test_a_6xx_cancels_the_others_and_waits_for_them() -> None:
    # Step 5: "The proxy MUST NOT immediately forward" a 6xx but "cancel all pending client transactions".
    side = ProxySide()
    event = side.invite()
    first, second = side.relay(event, [CAROL, DAVE])
    side.answer(second, 180)
    caused = side.answer(first, 603)
    assert [parse_message(each.data).cseq.method for each in caused] == ["ACK", "CANCEL"]
    assert [each.status for each in side.to_alice()] == [180]
    side.answer(second, 487)
    assert [each.status for each in side.to_alice()] == [180, 603]


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    "… reception of a response with status code from 300-699 MUST cause the client transaction to transition to "
    '"Completed". The client transaction MUST pass the received response up to the TU, and the client transaction '
    "MUST generate an ACK request, even if the transport is reliable …",
)
def test_a_final_failure_is_acknowledged_hop_by_hop() -> None:
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    ack, back = side.answer(sent, 486)
    assert request_of(ack).method == "ACK"
    assert ack.flow.remote == CAROL
    assert back.flow.remote == ALICE
    side.receive(request_bytes("ACK", to_tag="b1", uri="sip:bob@example.com"))
    assert side.advance(60.0) == []


@pytest.mark.rfc(
    "3261",
    "16.8",
    "If timer C should fire, the proxy MUST either reset the timer with any value it chooses, or terminate the "
    "client transaction. If the client transaction has received a provisional response, the proxy MUST generate a "
    "CANCEL request matching that transaction.",
)
def test_timer_c_gives_up_a_branch_that_only_rings() -> None:
    # "If the client transaction has received a provisional response, the proxy MUST generate a CANCEL request";
    # Timer C "MUST be larger than 3 minutes" and is set anew by each provisional response but 100.
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    side.answer(sent, 180)
    side.advance(100.0)
    side.answer(sent, 180)
    log = [each for each in side.advance(281.0) if each[1] != "180 INVITE"]
    assert log == [(281.0, "CANCEL")]
    side.answer(sent, 487)
    assert side.to_alice()[-1].status == 408


@pytest.mark.rfc(
    "3261",
    "8.1.3.1",
    "When a timeout error is received from the transaction layer, it MUST be treated as if a 408 (Request Timeout) "
    "status code has been received.",
)
@pytest.mark.rfc(
    "3261",
    "16.8",
    "If the client transaction has not received a provisional response, the proxy MUST behave as if the transaction "
    "received a 408 (Request Timeout) response.",
)
def test_a_callee_that_says_nothing_is_a_408() -> None:
    # "if it has not received a provisional response, the proxy MUST behave as if the transaction received a 408".
    side = ProxySide()
    event = side.invite()
    side.relay(event, [CAROL])
    side.advance(40.0)
    assert {each.status for each in side.to_alice()} == {100, 408}


@pytest.mark.rfc(
    "3261",
    "16.9",
    "If the transport layer notifies a proxy of an error when it tries to forward a request (see Section 18.4), the "
    "proxy MUST behave as if the forwarded request received a 503 (Service Unavailable) response.",
)
def test_a_target_that_cannot_be_reached_counts_as_a_503() -> None:
    # "the proxy MUST behave as if the forwarded request received a 503 (Service Unavailable) response."
    side = ProxySide()
    event = side.invite()
    carol, dave = side.relay(event, [CAROL, DAVE])
    beginning = carol.data[:600]
    side.take(side.endpoint.undelivered(carol.flow, beginning, side.now))
    assert side.to_alice() == []
    side.answer(dave, 486)
    assert [each.status for each in side.to_alice()] == [486]


@pytest.mark.rfc(
    "3261",
    "16.10",
    "If a matching response context is found, the element MUST immediately return a 200 (OK) response to the CANCEL "
    "request. … The element MUST generate CANCEL requests for all pending client transactions in the context.",
)
def test_cancel_is_answered_and_goes_to_every_branch() -> None:
    # "If a matching response context is found, the element MUST immediately return a 200 (OK) response to the CANCEL
    # request" and "MUST generate CANCEL requests for all pending client transactions in the context".
    side = ProxySide()
    event = side.invite()
    branches = side.relay(event, [CAROL, DAVE])
    for sent, tag in zip(branches, ("c1", "d1"), strict=True):
        side.answer(sent, 180, to_tag=tag)
    before = len(side.sent)
    side.receive(request_bytes("CANCEL", 'Reason: SIP;cause=600;text="x"', uri="sip:bob@example.com"))
    caused = side.sent[before:]
    assert [(parse_message(each.data).cseq.method, each.flow.remote) for each in caused] == [
        ("CANCEL", ALICE),
        ("CANCEL", CAROL),
        ("CANCEL", DAVE),
    ]
    assert request_of(caused[1]).headers.get("Reason") == 'SIP;cause=600;text="x"'
    for sent, tag in zip(branches, ("c1", "d1"), strict=True):
        side.answer(sent, 487, to_tag=tag)
    assert side.to_alice()[-1].status == 487


@pytest.mark.rfc(
    "3261",
    "16.10",
    "A proxy MUST cancel any pending client transactions associated with a response context when it receives a "
    "matching CANCEL request.",
)
def test_a_cancel_that_crosses_the_200_changes_nothing() -> None:
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    side.answer(sent, 200)
    side.receive(request_bytes("CANCEL", uri="sip:bob@example.com"))
    assert [(each.status, each.cseq.method) for each in side.to_alice()] == [(200, "INVITE"), (200, "CANCEL")]
    assert [each for each in side.sent if each.flow.remote == CAROL] == [sent]


@pytest.mark.rfc(
    "3261",
    "16.5",
    "Targets can only be placed in the target set once. If a target URI is already present in the set (based on the "
    "definition of equality for the URI type), it MUST NOT be added again.",
)
def test_groups_are_tried_one_after_another_and_no_target_twice() -> None:
    side = ProxySide()
    event = side.invite()
    [first] = side.relay(event, [CAROL], [CAROL, DAVE], group_s=20.0)
    side.answer(first, 180)
    log = side.advance(20.0)
    assert log == [(20.0, "CANCEL"), (20.0, "INVITE")]
    assert side.sent[-1].flow.remote == DAVE
    second = side.sent[-1]
    side.answer(first, 487)
    side.answer(second, 486)
    assert [each.flow.remote for each in side.sent if b"INVITE sip" in each.data[:12]] == [CAROL, DAVE]


@pytest.mark.rfc(
    "3261",
    "16.7",
    "If the proxy chooses to recurse on any contacts in a 3xx response by adding them to the target set, it MUST "
    "remove them from the response before adding the response to the response context.",
)
def test_a_redirection_is_followed_only_when_the_policy_says_so() -> None:
    for recurse, followed in ((False, 0), (True, 1)):
        side = ProxySide()
        event = side.invite()
        [sent] = side.relay(event, [CAROL], recurse=recurse)
        caused = side.answer(sent, 302, "Contact: <sip:bob@10.0.0.4>")
        assert len([each for each in caused if each.flow.remote == DAVE]) == followed
        assert [each.status for each in side.to_alice()] == ([] if recurse else [302])


def test_the_contacts_of_a_redirection_are_tried_by_their_q() -> None:
    side = ProxySide()
    [sent] = side.relay(side.invite(), [CAROL], recurse=True)
    contacts = "Contact: <sip:bob@10.0.0.5>;q=0.1, <sip:bob@10.0.0.6>, <sip:bob@10.0.0.7>;q=1.0, <tel:+49301>"
    first, second = [each for each in side.answer(sent, 302, contacts) if b"INVITE sip" in each.data[:10]]
    assert [first.flow.remote.host, second.flow.remote.host] == ["10.0.0.6", "10.0.0.7"]
    side.answer(first, 486)
    side.answer(second, 486)
    assert [each.flow.remote.host for each in side.sent if b"INVITE sip" in each.data[:10]][-1] == "10.0.0.5"


@pytest.mark.rfc(
    "3261",
    "16.4",
    "If the first value in the Route header field indicates this proxy, the proxy MUST remove that value from the "
    "request.",
)
def test_requests_within_the_dialog_come_back_by_the_record_route_in_both_directions() -> None:
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    record_route = request_of(sent).headers.get_all("Record-Route")
    assert len(record_route) == 1
    side.answer(sent, 200, *(f"Record-Route: {value}" for value in record_route))
    before = len(side.sent)
    side.receive(in_dialog_bytes("ACK", record_route, uri="sip:peer@10.0.0.3:5060", cseq=1))
    side.receive(in_dialog_bytes("BYE", record_route, uri="sip:peer@10.0.0.3:5060"))
    ack, bye = side.sent[before:]
    assert [each.flow.remote for each in (ack, bye)] == [CAROL, CAROL]
    for each in (ack, bye):
        copy = request_of(each)
        assert copy.uri_text == "sip:peer@10.0.0.3:5060"
        assert "Route" not in copy.headers
        assert copy.max_forwards == 69
    side.answer(bye, 200)
    assert side.to_alice()[-1].cseq.method == "BYE"
    from_carol = Flow("UDP", BOB, CAROL)
    before = len(side.sent)
    data = in_dialog_bytes("INFO", record_route, uri="sip:alice@10.0.0.1:5060", sender=CAROL, tags=("b1", "a1"))
    side.receive(data, from_carol)
    assert side.sent[before].flow.remote == ALICE


def test_what_a_phone_asserts_of_itself_does_not_pass_the_proxy() -> None:
    # RFC 3325 §5: a proxy that does not trust the sender "MUST remove" the header, or replace it.
    side = ProxySide()
    lines = [f"{name}: <sip:+12025550199@carrier.test>" for name in ("P-Asserted-Identity", "P-Preferred-Identity")]
    lines.append("Remote-Party-ID: <sip:boss@carrier.test>;screen=yes")
    [sent] = side.relay(side.invite(*lines), [CAROL])
    route = request_of(sent).headers.get_all("Record-Route")
    side.answer(sent, 200, *(f"Record-Route: {value}" for value in route))
    data = in_dialog_bytes("UPDATE", route, uri="sip:peer@10.0.0.3:5060")
    side.receive(data.replace(b"\r\nFrom:", b"\r\n" + "\r\n".join(lines).encode() + b"\r\nFrom:", 1))
    update = side.sent[-1]
    assert request_of(update).method == "UPDATE"
    for each in (sent, update):
        assert b"carrier.test" not in each.data


@pytest.mark.rfc(
    "3261",
    "22.3",
    "When multiple proxies are used in a chain, a Proxy-Authorization header field value MUST NOT be consumed by any "
    "proxy whose realm does not match the realm parameter specified in that value.",
)
def test_credentials_of_our_realm_end_here_and_those_of_another_go_on() -> None:
    side = ProxySide()
    side.endpoint.consumes_credentials(lambda realm: realm == "ours.test")
    ours, theirs = (f'Digest username="a", realm="{realm}.test", nonce="n"' for realm in ("ours", "theirs"))
    lines = [f"Proxy-Authorization: {value}" for value in (ours, theirs)]
    [sent] = side.relay(side.invite(*lines), [CAROL])
    route = request_of(sent).headers.get_all("Record-Route")
    side.answer(sent, 200, *(f"Record-Route: {value}" for value in route))
    before = len(side.sent)
    for method, number in (("ACK", 1), ("BYE", 2)):
        data = in_dialog_bytes(method, route, uri="sip:peer@10.0.0.3:5060", cseq=number)
        side.receive(data.replace(b"\r\nFrom:", b"\r\n" + "\r\n".join(lines).encode() + b"\r\nFrom:", 1))
    passed = [sent, *side.sent[before:]]
    assert [request_of(each).method for each in passed] == ["INVITE", "ACK", "BYE"]
    assert [request_of(each).headers.get_all("Proxy-Authorization") for each in passed] == [[theirs]] * 3


@pytest.mark.rfc(
    "3261",
    "16.4",
    "The proxy MUST inspect the Request-URI of the request. If the Request-URI of the request contains a value this "
    "proxy previously placed into a Record-Route header field …, the proxy MUST replace the Request-URI in the "
    "request with the last value from the Route header field, and remove that value from the Route header field.",
)
def test_a_strict_router_before_us_gets_its_request_uri_back() -> None:
    # "If the Request-URI of the request contains a value that this proxy previously placed into a Record-Route header
    # field, the proxy MUST replace the Request-URI in the request with the last value from the Route header field".
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    record_route = request_of(sent).headers.get("Record-Route") or ""
    side.answer(sent, 200)
    before = len(side.sent)
    side.receive(in_dialog_bytes("BYE", ["<sip:peer@10.0.0.3:5060>"], uri=record_route.strip("<>")))
    copy = request_of(side.sent[before])
    assert copy.uri_text == "sip:peer@10.0.0.3:5060"
    assert "Route" not in copy.headers


@pytest.mark.rfc("3261", "16.4", "The proxy MUST then proceed as if it received this modified request.")
@pytest.mark.parametrize("forge", ["other call", "altered flow", "no signature"])
def test_a_route_that_we_did_not_write_for_this_call_is_not_followed(forge: str) -> None:
    # An open relay for who invents a Route is what must not be: the request is one of no dialog that we know.
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    value = request_of(sent).headers.get("Record-Route") or ""
    side.answer(sent, 200)
    data = in_dialog_bytes("BYE", [value], uri="sip:victim@10.0.0.9")
    if forge == "other call":
        data = data.replace(b"Call-ID: call-1", b"Call-ID: call-2")
    elif forge == "altered flow":
        data = (
            data.replace(b">\r\nFrom", b"QQ>\r\nFrom", 1) if b">\r\nFrom" in data else data.replace(b"vp=", b"vp=0", 1)
        )
    else:
        data = data.replace(b";vp=", b";xx=")
    before = len(side.sent)
    side.receive(data)
    assert [each.flow.remote for each in side.sent[before:]] == [ALICE]
    assert side.to_alice()[-1].status == 481


@pytest.mark.rfc(
    "3261",
    "16.11",
    "… the component of the branch parameter that makes it unique MUST be the same each time a retransmitted "
    "request is forwarded. Thus for a stateless proxy, the branch parameter MUST be computed as a combinatoric "
    "function of message parameters which are invariant on retransmission.",
)
def test_a_repeated_ack_leaves_with_the_same_branch() -> None:
    # "the proxy MUST [compute] the branch parameter [...] such that it is invariant on retransmissions".
    side = ProxySide()
    event = side.invite()
    [sent] = side.relay(event, [CAROL])
    route = request_of(sent).headers.get_all("Record-Route")
    side.answer(sent, 200)
    before = len(side.sent)
    for _ in range(2):
        side.receive(in_dialog_bytes("ACK", route, uri="sip:peer@10.0.0.3:5060", cseq=1))
    first, second = side.sent[before:]
    assert first.data == second.data


@pytest.mark.rfc(
    "4320",
    "4.1",
    "An SIP element MUST NOT send any provisional response with a Status-Code other than 100 to a non-INVITE request.",
)
@pytest.mark.rfc(
    "4320",
    "4.2",
    "A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to a non-INVITE request.",
)
def test_a_request_other_than_invite_gets_no_provisional_and_no_408() -> None:
    # "An SIP element MUST NOT send any provisional response [other than 100] to a non-INVITE request"; "A transaction-
    # stateful SIP element MUST NOT send a response with Status-Code of 408 to a non-INVITE request."
    side = ProxySide()
    event = side.invite(method="MESSAGE")
    [sent] = side.relay(event, [CAROL])
    assert side.answer(sent, 180) == []
    side.advance(60.0)
    assert {each.status for each in side.to_alice()} <= {100}


def test_nothing_is_left_of_calls_that_passed() -> None:
    side = ProxySide()
    event = side.invite()
    first, second = side.relay(event, [CAROL, DAVE], group_s=20.0)
    side.answer(first, 180)
    side.answer(second, 486)
    side.answer(first, 200)
    assert isinstance(side.events[-1], RelayEnded)
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "16.1",
    "When responding directly to a request, the element is playing the role of a UAS and MUST behave as described "
    "in Section 8.2.",
)
def test_a_user_agent_beside_the_proxy_may_refuse_by_itself() -> None:
    side = ProxySide()
    event = side.invite()
    side.respond(event.transaction, 404)
    assert [each.status for each in side.to_alice()] == [404]
    assert side.relay(event, [CAROL]) == []
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "16.2",
    "The proxy core MUST behave as a UAS with respect to sending an immediate provisional on that server transaction "
    "(such as 100 Trying) as described in Section 8.2.6.",
)
def test_the_caller_is_told_that_its_invite_arrived_when_nobody_answers_at_once() -> None:
    side = ProxySide()
    side.relay(side.invite(), [CAROL])
    side.advance(0.25)
    assert [response.status for response in side.to_alice()] == [100]


@pytest.mark.rfc(
    "6665",
    "4.3",
    "If a proxy wishes to see all of the SUBSCRIBE and NOTIFY requests for a given dialog, it MUST add a "
    '"Record-Route" header field to the initial SUBSCRIBE request and all NOTIFY requests.',
)
@pytest.mark.parametrize("method", ["SUBSCRIBE", "NOTIFY"])
def test_subscriptions_are_record_routed(method: str) -> None:
    side = ProxySide()
    lines = ("Event: dialog", "Contact: <sip:alice@10.0.0.1:5060>")
    (sent,) = side.relay(side.invite(*lines, method=method), [CAROL], record_route=True)
    assert len(request_of(sent).record_routes) == 1
