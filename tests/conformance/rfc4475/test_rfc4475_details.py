"""What RFC 4475 says of single messages beyond the reaction: how they are read, and what the answer must have."""

from __future__ import annotations

import asyncio

import pytest

from sipcore.aio.tcp import TcpLimits, open_tcp
from sipcore.events import RequestReceived
from sipcore.flow import Address
from sipcore.message import Request, Response
from sipcore.outputs import Transmit
from sipcore.parser import parse_message
from sipcore.uri import Uri, unescape
from tests.conformance.rfc4475.harness import Answer, client, react, server
from tests.conformance.rfc4475.messages import MESSAGES, vector


def request(name: str) -> Request:
    message = parse_message(vector(name))
    assert isinstance(message, Request)
    return message


def refusal(data: bytes) -> Answer:
    """The answer of the stack."""
    outputs = react(data)
    assert len(outputs) == 1 and isinstance(outputs[0], Transmit)
    return Answer(outputs[0].data)


def ask(name: str) -> Answer:
    """The answer of the server, over UDP."""

    async def scenario() -> Answer:
        async with server() as app, client(app, "UDP") as sender:
            sender.write(vector(name))
            return (await sender.final(1))[0]

    return asyncio.run(scenario())


@pytest.mark.rfc("4475", "3.1.1.1")
def test_wsinv_is_read_through_folds_white_space_and_compact_forms() -> None:
    message = request("wsinv")
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert message.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.headers.get("Subject") == ""
    assert message.max_forwards == 68
    assert message.cseq == (9, "INVITE")
    assert message.from_.display_name == 'J Rosenberg \\"' and message.from_.tag == "98asjd8"
    assert message.to.tag == "1918181833n"
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.contact is not None and message.contact.params == {
        "newparam": "newvalue",
        "secondparam": None,
        "q": "0.33",
    }
    assert message.routes[0].uri.params == {"lr": None, "unknownwith": "value", "unknown-no-value": None}
    assert len(message.body) == 150


@pytest.mark.rfc("4475", "3.1.1.2")
def test_intmeth_keeps_every_unusual_octet() -> None:
    message = request("intmeth")
    assert message.to.display_name == "BEL:\a NUL:\0 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.params["fromparam''~+*_!.-%"] == '"работающий"'
    assert message.from_.tag == "_token~1'+`*%!-."
    assert message.call_id == """intmeth.word%ZK-!.*_+'@word`~)(><:\\/"][?}{"""
    assert message.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    assert message.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert message.to_bytes() == vector("intmeth")


@pytest.mark.rfc("4475", "3.1.1.2")
@pytest.mark.parametrize("name", ["intmeth", "esc02"])
def test_a_501_lists_the_methods_in_allow(name: str) -> None:
    """ "Endpoints will generate a 501 listing the methods they understand in an Allow header field." """
    assert "INVITE" in ask(name).get("Allow")


@pytest.mark.rfc("4475", "3.1.1.3")
def test_escapes_are_decoded_once_and_only_where_they_are_escapes() -> None:
    """ "unescaping URI components is never performed recursively" """
    message = request("esc01")
    assert unescape(message.uri.user or "") == "sips:user@example.com" and message.uri.host == "example.net"
    assert message.to.uri.equivalent(Uri.parse("sip:user@example.com"))
    assert unescape(message.from_.uri.user or "") == "I have spaces"
    assert message.contact is not None
    parameters = {unescape(name): unescape(value or "") for name, value in message.contact.uri.params.items()}
    assert parameters == {"lr": "", "name": "value%41"}


@pytest.mark.rfc("4475", "3.1.1.5")
def test_percent_is_no_escape_in_method_display_name_and_header_name() -> None:
    """ "This message has two Contact header field values, not three." """
    message = request("esc02")
    assert message.method == "RE%47IST%45R"
    assert message.to.display_name == "%Z%45"
    assert [str(contact.uri) for contact in message.contacts] == [
        "sip:alias1@host1.example.com",
        "sip:alias3@host3.example.com",
    ]
    assert message.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


@pytest.mark.rfc("4475", "3.1.1.7")
def test_long_values_come_through_whole() -> None:
    message = request("longreq")
    assert message.to.display_name == f"I have a user name of {'extreme' * 10} proportion"
    assert message.from_.tag == f"12{'982' * 50}424"
    assert len(message.vias) == 34 and message.vias[-1].branch == f"very{'long' * 50}branchvalue"


@pytest.mark.rfc("4475", "3.1.1.8")
def test_the_octets_after_the_body_are_not_forwarded() -> None:
    """ "If the element is a proxy choosing to forward the REGISTER, the INVITE octets would not appear" """
    message = request("dblreq")
    assert message.body == b"" and b"INVITE" not in message.to_bytes()


@pytest.mark.rfc("4475", "3.1.1.9")
def test_semicolons_of_the_user_part_are_no_parameters() -> None:
    """ "The Request-URI will parse so that the user part is "user;par=u@example.net"." """
    uri = request("semiuri").uri
    assert unescape(uri.user or "") == "user;par=u@example.net"
    assert uri.host == "example.com" and not uri.params


@pytest.mark.rfc("4475", "3.1.1.10")
def test_any_transport_may_stand_in_via() -> None:
    assert [via.transport for via in request("transports").vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


@pytest.mark.rfc("4475", "3.1.1.11")
def test_a_binary_body_is_framed_by_its_length() -> None:
    """ "Receivers must take care to frame the received message properly." """
    body = request("mpart01").body
    assert len(body) == 553 and b"\0" in body and body.endswith(b"--7a9cbec02ceef655--\r\n")


@pytest.mark.rfc("4475", "3.1.1.12")
def test_a_reason_phrase_is_any_utf8() -> None:
    message = parse_message(vector("unreason"))
    assert isinstance(message, Response)
    assert message.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert message.to_bytes() == vector("unreason")


@pytest.mark.rfc("4475", "3.1.1.13")
@pytest.mark.parametrize("line", [b"SIP/2.0 100 \r\n", b"SIP/2.0 100\r\n"])
def test_the_reason_phrase_may_be_empty(line: bytes) -> None:
    """ "a liberal receiver would accept it anyway" """
    message = parse_message(vector("noreason").replace(b"SIP/2.0 100 \r\n", line))
    assert isinstance(message, Response) and (message.status, message.reason) == (100, "")


@pytest.mark.rfc("4475", "3.1.2.1")
def test_the_400_for_a_broken_via_goes_back_to_where_the_request_came_from() -> None:
    answer = refusal(vector("badinv01"))
    assert answer.get("Via") == "SIP/2.0/UDP 192.0.2.15;;,;,,"
    assert answer.get("CSeq") == "8 INVITE"


@pytest.mark.rfc("4475", "3.1.2.2")
def test_a_stream_with_a_message_that_never_ends_is_closed_in_time() -> None:
    """ "wait for more data on the stream and close the connection if none is forthcoming" """

    async def scenario() -> None:
        async with server() as app:
            limits = TcpLimits(message_s=0.1, first_message_s=5.0)
            await open_tcp(app.driver, Address("127.0.0.1", 0), limits=limits)
            remote = app.driver.transports[-1].local
            async with client(app, "TCP", remote) as sender:
                sender.write(vector("clerr"))
                await sender.until(sender.closed.is_set)
                assert not sender.answers
                assert app.driver.counters["tcp_too_slow"] == 1

    asyncio.run(scenario())


@pytest.mark.rfc("4475", "3.1.2.3")
@pytest.mark.parametrize("length", [b"-999", b"five", b"+152", b"0x98", b"152,152", b"1 52", b"", b"4294967448"])
def test_a_length_that_is_no_number_is_an_error(length: bytes) -> None:
    """ "The same behavior is appropriate for messages that arrive without a numeric value" """
    assert refusal(vector("ncl").replace(b"-999", length)).status == 400


@pytest.mark.rfc("4475", "3.1.2.4")
@pytest.mark.parametrize(
    ("line", "value"),
    [(b"CSeq", b"4294967296 REGISTER"), (b"CSeq", b"2147483648 REGISTER"), (b"Max-Forwards", b"256")],
)
def test_each_scalar_out_of_its_range_is_a_400(line: bytes, value: bytes) -> None:
    """ "The CSeq sequence number is >2**32-1", "The Max-Forwards value is >255"; RFC 3261 §8.1.1.5: below 2**31."""
    data = vector("cparam01")
    before = b"2 REGISTER" if line == b"CSeq" else b"70"
    assert refusal(data.replace(line + b": " + before, line + b": " + value)).status == 400


@pytest.mark.rfc("4475", "3.1.2.4")
def test_expiry_values_out_of_range_count_as_absent() -> None:
    """ "the element could treat them as if they contained the default values for expiration" """
    data = vector("scalar02").replace(b"36893488147419103232", b"1").replace(b"300", b"70", 1)
    message = parse_message(data)
    assert message.expires is None


@pytest.mark.rfc("4475", "3.1.2.15")
def test_display_names_with_commas_need_quotes() -> None:
    assert refusal(vector("baddn") + b"\r\n").status == 400
    quoted = vector("baddn").replace(b"Bell, Alexander", b'"Bell, Alexander"')
    outputs = react(quoted.replace(b"Watson, Thomas", b'"Watson, Thomas"') + b"\r\n")
    assert isinstance(outputs[0], RequestReceived)


@pytest.mark.rfc("4475", "3.1.2.18")
def test_a_mismatch_of_a_known_method_stays_400() -> None:
    assert refusal(vector("mismatch02").replace(b"NEWMETHOD", b"MESSAGE")).status == 400


@pytest.mark.rfc("4475", "3.1.2.19")
@pytest.mark.parametrize("status", [b"4294967301", b"700", b"099", b"20", b"2OO", b"-200", b"65736"])
def test_no_number_but_100_to_699_is_a_status(status: bytes) -> None:
    """ "An element receiving this response should simply drop it." """
    outputs = react(vector("noreason").replace(b"SIP/2.0 100 ", b"SIP/2.0 " + status + b" "))
    assert [type(each).__name__ for each in outputs] == ["MessageDropped"]


@pytest.mark.rfc("4475", "3.3.1")
@pytest.mark.parametrize("name", [b"To", b"From", b"Call-ID", b"CSeq"])
def test_a_request_without_one_of_the_mandatory_fields_gets_a_400(name: bytes) -> None:
    lines = [line for line in vector("lwsdisp").split(b"\r\n") if not line.startswith(name + b":")]
    answer = refusal(b"\r\n".join(lines))
    assert answer.status == 400 and answer.get(name.decode()) == ""


@pytest.mark.rfc("4475", "3.3.1")
def test_a_request_without_via_can_not_be_answered() -> None:
    lines = [line for line in vector("lwsdisp").split(b"\r\n") if not line.startswith(b"Via:")]
    assert [type(each).__name__ for each in react(b"\r\n".join(lines))] == ["MessageDropped"]


def test_nothing_answers_a_broken_ack() -> None:
    """An ACK has no response, whatever is wrong with it."""
    data = vector("quotbal").replace(b"INVITE", b"ACK")
    assert [type(each).__name__ for each in react(data)] == ["MessageDropped"]


@pytest.mark.rfc("4475", "3.3.5")
def test_a_420_lists_the_options_of_require_as_they_were_written() -> None:
    """ "containing an Unsupported header field listing these features from either the Require or Proxy-Require" """
    assert refusal(vector("bext01")).get("Unsupported") == "nothingSupportsThis, nothingSupportsThisEither"


@pytest.mark.rfc(
    "3261",
    "21.4.13",
    "The server MUST return a list of acceptable formats using the Accept, Accept-Encoding, or Accept-Language "
    "header field, depending on the specific problem with the content.",
)
@pytest.mark.rfc("4475", "3.3.6")
def test_a_415_says_what_is_accepted() -> None:
    assert ask("invut").get("Accept") == "application/sdp, multipart/mixed"


@pytest.mark.rfc("4475", "3.3.7")
def test_a_401_offers_a_scheme_that_we_understand() -> None:
    """ "issuing a new challenge with a scheme it understands" """
    assert ask("regaut01").get("WWW-Authenticate").startswith("Digest ")


@pytest.mark.rfc("4475", "3.3.8")
def test_the_answer_to_doubled_fields_has_one_of_each() -> None:
    answer = refusal(vector("multi01"))
    for name in ("From", "To", "Call-ID", "CSeq"):
        assert len(answer.get_all(name)) == 1


@pytest.mark.rfc("4475", "3.3.15")
def test_a_406_says_why_in_a_warning() -> None:
    """ "with a Warning/399 indicating that a response cannot be formulated in the formats offered" """
    assert ask("sdp01").get("Warning").startswith("399 ")


@pytest.mark.rfc(
    "3261",
    "8.2.6.2",
    "The Via header field values in the response MUST equal the Via header field values in the request",
)
@pytest.mark.parametrize("name", [name for name, case in MESSAGES.items() if case.stack in ("400", "501", "505")])
def test_a_refusal_gives_back_what_the_request_has_of_via_from_call_id_and_cseq(name: str) -> None:
    """ "The Via header field values in the response MUST equal the Via header field values in the request" """
    sent, answer = Answer(b"SIP/2.0 000 \r\n" + vector(name).replace(b"l: ", b"L: ")), refusal(vector(name))
    for field in ("From", "Call-ID", "CSeq"):
        assert answer.get(field) == sent.get(field)
    assert answer.get("Via").split(";")[0] == sent.get("Via").split(";")[0]
