"""What RFC 3261 and its extensions ask of every message: held against all that the server said in one busy hour.

The hour: phones over UDP and TCP, calls that are answered, refused, cancelled, held, offered late and transferred, a
subscription of each package, messages. Each law reads every message of the server; a law about something that was
never said would hold for nothing, and so each has its least number.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sipcore.message import Message, Request, Response
from sipcore.parser import parse_message
from tests.sim.office import Office
from tests.sim.raw_peer import RawPeer
from voipat import App, Mailbox, Proxy, Registrar
from voipat.testing import SimWorld

NAME_ADDRS = ("From", "To", "Contact", "Route", "Record-Route", "Reply-To", "Refer-To", "Referred-By")


class Counts:
    """A mailbox for everybody."""

    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        return Mailbox(new=1, old=1)


@dataclass(frozen=True)
class Said:
    """One message of the server."""

    data: bytes
    message: Message
    is_stream: bool


@pytest.fixture(scope="module")
def hour() -> list[Said]:
    with Office(seed=7, mailboxes=Counts()) as office:
        _busy_hour(office)
        seen, said = set(), []
        for rung in office.world.network.ladder:
            if office.world.network.name_of(rung.source) == "voipat" and rung.data.strip():
                key = rung.data, rung.destination
                if key not in seen:
                    seen.add(key)
                    message = parse_message(rung.data)
                    said.append(Said(rung.data, message, message.via.transport == "TCP"))
        return said


def _busy_hour(office: Office) -> None:
    world = office.world
    alice, bob, carol = office.phones(3)
    dave = office.phone(1004, transport="TCP").register()
    world.run(until=world.now + 1.0)
    carol.subscribe("dialog", "1002")
    carol.subscribe("message-summary", "1003")
    carol.subscribe("presence", "1002")
    alice.says("1002", "lunch?")
    alice.says("4711", "lunch?")
    alice.request("OPTIONS", "sip:office.test")
    bob.answers(after=1.0)
    alice.dial("1002").holds(after=2.0).resumes(after=4.0).hangs_up(after=8.0)
    world.run(until=world.now + 15.0)
    alice.dial("1002", late_offer=True).hangs_up(after=3.0)
    world.run(until=world.now + 8.0)
    dave.answers(after=0.5)
    alice.dial("1004").hangs_up(after=3.0)
    world.run(until=world.now + 8.0)
    dave.dial("1002").hangs_up(after=3.0)
    world.run(until=world.now + 8.0)
    carol.refuses(486)
    alice.dial("1003")
    carol.rings()
    alice.dial("1003", after=2.0).cancels(after=2.0)
    alice.dial("4711", after=8.0)
    world.run(until=world.now + 15.0)
    carol.answers(after=0.5)
    alice.dial("1002").transfers("1003", after=3.0)
    world.run(until=world.now + 10.0)
    for phone in (alice, bob, carol):
        for call in list(phone.calls):
            if not call.is_over:
                call.hang_up()
    alice.request("UNKNOWN", "sip:office.test")
    alice.dial("1002", headers=(("Require", "x-nothing"),))
    world.run(until=world.now + 5.0)
    world.run()


def requests(hour: list[Said]) -> Iterator[Request]:
    return (said.message for said in hour if isinstance(said.message, Request))


def responses(hour: list[Said], *methods: str) -> Iterator[Response]:
    answers = (said.message for said in hour if isinstance(said.message, Response))
    return (each for each in answers if not methods or each.cseq.method in methods)


def head(said: Said) -> bytes:
    return said.data.partition(b"\r\n\r\n")[0]


@pytest.mark.rfc(
    "3261",
    "7",
    "The start-line, each message-header line, and the empty line MUST be terminated by a carriage-return line-feed "
    "sequence (CRLF).",
)
@pytest.mark.rfc(
    "3261",
    "7.1",
    'The Request-URI MUST NOT contain unescaped spaces or control characters and MUST NOT be enclosed in "<>".',
)
def test_lines_end_with_crlf_and_the_start_line_has_two_spaces(hour: list[Said]) -> None:
    assert len(hour) > 80
    for said in hour:
        lines = head(said).split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line for line in lines)
        if isinstance(said.message, Request):
            method, uri, version = lines[0].split(b" ")
            assert version == b"SIP/2.0" and not uri.startswith(b"<") and min(uri) > 0x20, method


@pytest.mark.rfc(
    "3261", "7.4.1", "The Internet media type of the message body MUST be given by the Content-Type header field."
)
@pytest.mark.rfc("3261", "20.15", "The Content-Type header field MUST be present if the body is not empty.")
def test_who_sends_a_body_says_what_it_is(hour: list[Said]) -> None:
    with_body = [said.message for said in hour if said.message.body]
    assert len(with_body) > 40
    assert all(message.content_type for message in with_body)
    assert {(message.content_type or "").partition(";")[0] for message in with_body} >= {
        "application/sdp",
        "message/sipfrag",
        "text/plain",
        "application/dialog-info+xml",
    }


@pytest.mark.rfc("3261", "7.4.2", 'The "chunked" transfer encoding of HTTP/1.1 MUST NOT be used for SIP.')
@pytest.mark.rfc(
    "3261",
    "20.14",
    "If a stream-based protocol (such as TCP) is used as transport, the header field MUST be used.",
)
@pytest.mark.rfc(
    "3261",
    "20",
    "t: The header field SHOULD be sent, but clients/servers need to be prepared to receive messages without that "
    "header field. If a stream-based protocol (such as TCP) is used as a transport, then the header field MUST be "
    "sent.",
)
def test_every_message_says_how_long_its_body_is(hour: list[Said]) -> None:
    assert sum(said.is_stream for said in hour) > 7
    for said in hour:
        assert said.message.headers.get("Content-Length") == str(len(said.message.body))
        assert "Transfer-Encoding" not in said.message.headers


@pytest.mark.rfc("3261", "8.1.1.3", 'The From field MUST contain a new "tag" parameter, chosen by the UAC.')
@pytest.mark.rfc(
    "3261",
    "8.1.1.6",
    "A UAC MUST insert a Max-Forwards header field into each request it originates with a value that SHOULD be 70.",
)
@pytest.mark.rfc("3261", "8.1.1.7", "When the UAC creates a request, it MUST insert a Via into that request.")
@pytest.mark.rfc("3261", "20.16", "The sequence number MUST be expressible as a 32-bit unsigned integer.")
def test_requests_have_what_every_request_must_have(hour: list[Said]) -> None:
    asked = list(requests(hour))
    assert {request.method for request in asked} >= {
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "NOTIFY",
        "MESSAGE",
        "UPDATE",
    } - {"UPDATE"}
    for request in asked:
        assert request.from_.tag
        assert request.max_forwards is not None and 0 < request.max_forwards <= 70
        assert len(request.vias) == 1 and (request.via.branch or "").startswith("z9hG4bK")
        assert request.cseq.method == request.method and request.cseq.number < 2**31


@pytest.mark.rfc("3261", "8.1.1.4", "It MUST be the same for all requests and responses sent by either UA in a dialog.")
@pytest.mark.rfc(
    "3261",
    "19.3",
    "When a tag is generated by a UA for insertion into a request or response, it MUST be globally unique and "
    "cryptographically random with at least 32 bits of randomness.",
)
def test_a_dialog_keeps_its_call_id_and_no_two_have_the_same_tag(hour: list[Said]) -> None:
    """Every local tag, of From in our requests and of To in our responses, belongs to one Call-ID; 32 bits and more."""
    calls: dict[str, set[str]] = defaultdict(set)
    for said in hour:
        message = said.message
        tag = message.from_.tag if isinstance(message, Request) else message.to.tag
        if tag is not None and not (isinstance(message, Response) and message.status == 100):
            calls[tag].add(message.call_id)
    assert len(calls) > 25
    assert all(len(call_ids) == 1 for call_ids in calls.values())
    assert all(len(tag) >= 8 for tag in calls)


@pytest.mark.rfc(
    "3261", "8.1.1.9", "The option tags listed MUST only refer to extensions defined in standards-track RFCs."
)
@pytest.mark.rfc(
    "3261",
    "20.37",
    "A UA compliant to this specification MUST only include option tags corresponding to standards-track RFCs.",
)
@pytest.mark.rfc(
    "3891",
    "6.2",
    'UAs which support the Replaces header MUST include the "replaces" option tag in a Supported header field.',
)
def test_supported_lists_extensions_of_standards_track_rfcs(hour: list[Said]) -> None:
    standard = {
        "100rel",
        "timer",
        "replaces",
        "norefersub",
        "path",
        "outbound",
        "gruu",
        "histinfo",
        "from-change",
        "199",
    }
    lists = [said.message.headers.get_all("Supported") for said in hour if "Supported" in said.message.headers]
    assert len(lists) > 10
    assert {option for options in lists for option in options} <= standard
    for request in requests(hour):
        if request.method == "INVITE":
            assert "replaces" in request.headers.get_all("Supported")


@pytest.mark.rfc(
    "3261",
    "20.5",
    "All methods, including ACK and CANCEL, understood by the UA MUST be included in the list of methods in the "
    "Allow header field, when present.",
)
@pytest.mark.rfc("3261", "13.1", "A UA that supports INVITE MUST also support ACK, CANCEL and BYE.")
def test_allow_is_complete(hour: list[Said]) -> None:
    lists = [set(said.message.headers.get_all("Allow")) for said in hour if "Allow" in said.message.headers]
    understood = {
        "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "SUBSCRIBE", "NOTIFY",
        "MESSAGE",
    }  # fmt: skip
    assert len(lists) > 5
    assert all(methods >= understood for methods in lists)


@pytest.mark.rfc(
    "3261",
    "20.20",
    'Even if the "display-name" is empty, the "name-addr" form MUST be used if the "addr-spec" contains a comma, '
    "question mark, or semicolon.",
)
@pytest.mark.rfc(
    "3261",
    "20.31",
    'Even if the "display-name" is empty, the "name-addr" form MUST be used if the "addr-spec" contains a comma, '
    "question mark, or semicolon.",
)
@pytest.mark.rfc("3428", "5", "Record-Route and Route header fields MUST NOT contain IM URIs.")
def test_addresses_are_written_in_brackets(hour: list[Said]) -> None:
    count = 0
    for said in hour:
        for name in NAME_ADDRS:
            for value in said.message.headers.get_all(name):
                count += 1
                bare = value.partition("<")[0] == value
                assert not bare or not set(",?;") & set(value.partition(";tag=")[0]), f"{name}: {value}"
                assert "im:" not in value.lower()
    assert count > 200


@pytest.mark.rfc(
    "3428",
    "8",
    "The size of MESSAGE requests outside of a media session MUST NOT exceed 1300 bytes, unless the UAC has positive "
    "knowledge that the message will not traverse a congestion-unsafe link at any hop.",
)
def test_messages_are_small(hour: list[Said]) -> None:
    sizes = [len(said.data) for said in hour if isinstance(said.message, Request) and said.message.method == "MESSAGE"]
    assert sizes and max(sizes) <= 1300


@pytest.mark.rfc(
    "6665",
    "3.1.2",
    'Subscribers MUST include exactly one "Event" header field in SUBSCRIBE requests, indicating to which event or '
    "class of events they are subscribing.",
)
@pytest.mark.rfc(
    "6665",
    "3.2.1",
    'As in SUBSCRIBE requests, NOTIFY request "Event" header fields MUST contain a single event package name for '
    "which a notification is being generated.",
)
@pytest.mark.rfc(
    "6665",
    "4.2.2",
    'NOTIFY requests MUST contain a "Subscription-State" header field with a value of "active", "pending", or '
    '"terminated".',
)
@pytest.mark.rfc("6665", "8.2.3", "They MUST NOT appear in other SIP requests or responses.")
def test_notify_names_one_package_and_the_state_of_the_subscription(hour: list[Said]) -> None:
    notifies = [request for request in requests(hour) if request.method == "NOTIFY"]
    packages = set()
    for notify in notifies:
        (event,) = notify.headers.lines("Event")
        packages.add(event.partition(";")[0])
        assert len(notify.headers.lines("Subscription-State")) == 1
    assert packages == {"dialog", "message-summary", "presence", "refer"}
    named = [said.message for said in hour if "Subscription-State" in said.message.headers]
    assert len(named) == len(notifies)


@pytest.mark.rfc(
    "6665",
    "8.3.1",
    "Implementations conformant with the current specification … MUST NOT generate 202 response codes to SUBSCRIBE "
    "or NOTIFY requests.",
)
def test_a_subscription_is_confirmed_with_200(hour: list[Said]) -> None:
    assert [each.status for each in responses(hour, "SUBSCRIBE") if each.status < 300] == [200, 200, 200]
    assert all(each.status != 202 for each in responses(hour, "NOTIFY"))


@pytest.mark.rfc(
    "6665",
    "4.4.4",
    'The "Allow-Events" header field, if present, MUST include a comprehensive and inclusive list of tokens that '
    "indicates the event packages for which the user agent can act as a notifier.",
)
def test_allow_events_lists_every_package_that_was_notified(hour: list[Said]) -> None:
    lists = [
        set(said.message.headers.get_all("Allow-Events")) for said in hour if "Allow-Events" in said.message.headers
    ]
    assert lists and all(packages >= {"dialog", "message-summary", "presence", "refer"} for packages in lists)


@pytest.mark.rfc(
    "6086",
    "3",
    "A UA MUST NOT insert an Info-Package header field in a legacy INFO request.",
)
def test_no_message_names_an_info_package(hour: list[Said]) -> None:
    assert not any("Info-Package" in said.message.headers for said in hour)


@pytest.mark.rfc(
    "3428",
    "7",
    "A 2xx response to a MESSAGE request MUST NOT contain a body. A UAS MUST NOT insert a Contact header field into "
    "a 2xx response.",
)
@pytest.mark.rfc(
    "3428",
    "7",
    "A 2xx response to a MESSAGE request MUST NOT contain a body. A UAS MUST NOT insert a Contact header field into "
    "a 2xx response.",
)
def test_the_answer_to_a_message_has_neither_body_nor_contact(hour: list[Said]) -> None:
    answers = list(responses(hour, "MESSAGE"))
    assert any(each.status == 200 for each in answers)
    assert all(not each.body and "Contact" not in each.headers for each in answers if each.status < 300)


@pytest.mark.rfc(
    "3261",
    "12.1.1",
    "The UAS MUST add a Contact header field to the response. … The URI provided in the Contact header field MUST be "
    "a SIP or SIPS URI.",
)
@pytest.mark.rfc(
    "3261",
    "8.1.1.8",
    "The Contact header field MUST be present and contain exactly one SIP or SIPS URI in any request that can result "
    "in the establishment of a dialog.",
)
def test_what_makes_a_dialog_has_one_contact(hour: list[Said]) -> None:
    makes = ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY")
    found: list[Message] = [each for each in requests(hour) if each.method in makes]
    found += [each for each in responses(hour, "INVITE", "SUBSCRIBE") if 101 <= each.status < 300]
    assert len(found) > 30
    for message in found:
        (contact,) = message.contacts
        assert contact.uri.scheme in ("sip", "sips")


def test_every_refusal_of_ours_says_why_by_an_id(hour: list[Said]) -> None:
    refusals = [each for each in responses(hour) if each.status >= 300]
    assert {each.status for each in refusals} >= {401, 404, 420, 480, 487, 501}
    assert all(_has_id(each) for each in refusals)


def test_what_is_refused_before_anybody_is_told_says_why_too() -> None:
    with Office(seed=7) as office:
        peer = RawPeer(office.world, "192.0.2.77")
        here = "sip:office.test"
        peer.request("BYE", "sip:1001@office.test", number=1, to_tag="nobody")
        peer.request("NOTIFY", "sip:1001@office.test", number=2, to_tag="nobody")
        peer.request("CANCEL", "sip:1001@office.test", number=3)
        peer.request("OPTIONS", here, "Require: x-nothing", number=4)
        peer.request("OPTIONS", here, "CSeq: 5 OPTIONS", number=5)
        peer.request("REGISTER", here, number=6)
        peer.request("INVITE", "mailto:1001@office.test", number=7)
        office.world.run(until=1.0)
        assert sorted(peer.statuses) == [400, 401, 416, 420, 481, 481, 481]
        assert all(_has_id(each) for each in peer.responses)


def test_what_a_proxy_refuses_says_why_and_what_it_relays_is_not_touched() -> None:
    registrar = Registrar("office.test", password_of={"1001": "one-secret", "1002": "two-secret"}.get)
    app = App(listen="udp://127.0.0.1:5060", registrar=registrar, proxy=Proxy())
    with SimWorld(app, seed=3) as world:
        callee = world.phone("sip:1002@office.test").register().refuses(486)
        caller = world.phone("sip:1001@office.test")
        world.run(until=1.0)
        caller.dial("1002")
        caller.dial("1002", after=1.0, headers=(("Proxy-Require", "x-nothing"),))
        caller.dial("1002", after=2.0, headers=(("Max-Breadth", "0"),))
        world.at(4.0, callee.vanish)
        caller.dial("1002", after=4.0)
        world.run()
        ladder = [(rung, parse_message(rung.data)) for rung in world.network.ladder if rung.data.strip()]
        finals = [(rung, each) for rung, each in ladder if isinstance(each, Response) and each.status >= 300]
        heard = {_answer(each) for rung, each in finals if world.network.name_of(rung.source) != "voipat"}
        said = [each for rung, each in finals if world.network.name_of(rung.source) == "voipat"]
    relayed = [each for each in said if _answer(each) in heard]
    assert relayed and not any(_has_id(each) for each in relayed)
    ours = [each for each in said if _answer(each) not in heard]
    assert {each.status for each in ours} >= {407, 408, 420, 440}
    assert all(_has_id(each) for each in ours)


def _has_id(response: Response) -> bool:
    said = response.headers.get_all("Warning") + response.headers.get_all("Reason")
    return any(re.search(r"\bVP-\d{4}\b", value) for value in said)


def _answer(response: Response) -> tuple[str, str | None, int, int]:
    """What stays the same when a response is passed on."""
    return response.call_id, response.to.tag, response.cseq.number, response.status
