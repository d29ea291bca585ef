"""The multi-map of header lines: names in any spelling, lists, and lines that stay lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.headers import COMPACT, Headers, canonical
from sipcore.message import Message
from sipcore.parser import parse_message

BASE = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
)


def received(*lines: str) -> Message:
    return parse_message(BASE + "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape") + b"\r\n")


@pytest.mark.rfc("3261", "7.3.3", "Implementations MUST accept both the long and short forms of each header name.")
@pytest.mark.parametrize(("letter", "name"), COMPACT.items())
def test_compact_forms_mean_their_long_names(letter: str, name: str) -> None:
    for spelling in (letter, letter.upper(), name, name.lower(), name.upper(), f"{name} "):
        assert canonical(spelling) == name


def test_unknown_names_keep_their_spelling_and_are_found_in_any() -> None:
    headers = Headers([("X-Foo", "1"), ("x-foo", "2"), ("X-Bar", "3")])
    assert canonical("X-Foo\t") == "X-Foo"
    assert headers.items() == [("X-Foo", "1"), ("x-foo", "2"), ("X-Bar", "3")]
    assert headers.get_all("X-FOO") == ["1", "2"]
    headers.set("x-FOO", "4")
    assert headers.items() == [("x-FOO", "4"), ("X-Bar", "3")]


@pytest.mark.parametrize("name", ["From", "FROM", "f", "F", "from ", "From\t", "f \t"])
@pytest.mark.parametrize("spelling", ["Subject", "SUBJECT", "s", "S", "subject ", "s \t"])
def test_get_remove_and_replace_agree_for_every_spelling(name: str, spelling: str) -> None:
    headers = received(f"{spelling}: first", "s : second").headers
    assert name in headers and spelling in headers
    assert (headers.get("Subject"), headers.lines(spelling)) == ("first", ["first", "second"])
    replaced = headers.copy()
    replaced.set(spelling, "third")
    assert replaced.lines("s") == ["third"]
    headers.remove(spelling)
    assert "Subject" not in headers and headers.get(spelling) is None and headers.lines("s") == []


@pytest.mark.rfc(
    "3261",
    "7.3.1",
    'It MUST be possible to combine the multiple header field rows into one "field-name: field-value" pair … by '
    "appending each subsequent field-value to the first, each separated by a comma.",
)
def test_comma_lists_are_split_outside_quotes_and_brackets() -> None:
    headers = received('Contact: "a, b" <sip:a,b@h>, <sip:b@h>;y="1,2" ,sip:c@h', "m: <sip:d@h>").headers
    assert headers.get_all("Contact") == ['"a, b" <sip:a,b@h>', '<sip:b@h>;y="1,2"', "sip:c@h", "<sip:d@h>"]
    assert headers.get("Contact") == '"a, b" <sip:a,b@h>, <sip:b@h>;y="1,2" ,sip:c@h'
    assert received("Allow: INVITE,ACK,, BYE ,", "Allow:").headers.get_all("Allow") == ["INVITE", "ACK", "BYE"]
    assert Headers([("Allow", 'a, "b, c'), ("Allow", "<d, e")]).get_all("allow") == ["a", '"b, c', "<d, e"]


@pytest.mark.rfc(
    "3261",
    "20.28",
    "Although not a comma-separated list, this header field name may be present multiple times, and MUST NOT be "
    "combined into a single header line using the usual rules described in Section 7.3.1.",
)
@pytest.mark.rfc(
    "3261",
    "7.3.1",
    "The exceptions to this rule are the WWW-Authenticate, Authorization, Proxy-Authenticate, and "
    "Proxy-Authorization header fields. Multiple header field rows with these names MAY be present in a message, but "
    "… they MUST NOT be combined into a single header field row.",
)
@pytest.mark.parametrize(
    "name", ["WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Date", "Subject", "User-Agent", "X-List"]
)
def test_other_headers_are_not_split(name: str) -> None:
    value = "Sat, 13 Nov 2010, a, b"
    assert received(f"{name}: {value}", f"{name}: c").headers.get_all(name) == [value, "c"]


@pytest.mark.rfc(
    "3261",
    "7.3.1",
    "Header fields can be extended over multiple lines by preceding each extra line with at least one SP or "
    "horizontal tab (HT). The line break and the whitespace at the beginning of the next line are treated as a "
    "single SP character.",
)
@pytest.mark.parametrize(
    ("line", "value"),
    [
        (
            "Subject: I know you're there,\r\n      pick up the phone   \r\n\tand talk to me!",
            "I know you're there, pick up the phone and talk to me!",
        ),
        ("Subject:\r\n late", "late"),
        ("Subject:a \r\n \r\n  \r\n b", "a b"),
        ("Subject  :  a\tb  ", "a\tb"),
        ("Subject:", ""),
        ("Subject: caf\u00e9 \udce9", "caf\u00e9 \udce9"),
        ("Subject: a\r\n \udce9", "a \udce9"),
    ],
)
def test_values_are_unfolded_and_trimmed(line: str, value: str) -> None:
    message = received(line)
    assert message.headers.get("Subject") == value
    assert parse_message(message.to_bytes()).headers.get("Subject") == value


def test_lines_keep_their_order_through_changes() -> None:
    headers = Headers([("X-A", "1"), ("v", "2"), ("X-B", "3"), ("Via", "4")])
    headers.add("X-C", "5")
    headers.prepend("Via", "0")
    headers.set("x-b", "6")
    expected = [("Via", "0"), ("X-A", "1"), ("Via", "2"), ("x-b", "6"), ("Via", "4"), ("X-C", "5")]
    assert headers.items() == expected
    headers.remove("Via")
    headers.set("Via", "7")
    assert headers.items() == [("X-A", "1"), ("x-b", "6"), ("X-C", "5"), ("Via", "7")]
    assert len(headers) == 4


def test_a_copy_is_independent_and_equal_until_changed() -> None:
    headers = received("X-A: 1").headers
    copy = headers.copy()
    assert copy == headers
    copy.set("X-A", "2")
    copy.remove("To")
    assert (headers.get("X-A"), headers.get("To"), copy.get("To")) == ("1", "<sip:b@h>", None)
    assert copy != headers and headers != 1
    assert Headers.of([("X-A", "1")]) == Headers([("X-A", "1")])
    assert repr(Headers([("X-A", "1")])) == "Headers([('X-A', '1')])"
    assert 5 not in headers


def test_many_lines_are_held() -> None:
    headers = Headers((f"X-{number}", str(number)) for number in range(500))
    assert len(headers) == 500 and headers.get("x-499") == "499"
    for number in range(0, 500, 2):
        headers.remove(f"x-{number}")
    assert [value for _, value in headers.items()] == [str(number) for number in range(1, 500, 2)]


@pytest.mark.parametrize("value", ["a\r\nVia: evil", "a\n", "\r", "\ud800"])
def test_a_value_that_would_leave_its_line_is_refused(value: str) -> None:
    headers = Headers([("X-A", "1")])
    for change in (headers.add, headers.prepend, headers.set):
        with pytest.raises(LocalProtocolError):
            change("X-A", value)
    assert headers.items() == [("X-A", "1")]


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "a\r\nb", "\u00e9"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        Headers([(name, "1")])


def test_each_change_counts_a_version() -> None:
    headers = Headers([("X-A", "1")])
    seen = {headers.version}
    changes: tuple[Callable[[], None], ...] = (
        lambda: headers.add("X-B", "1"),
        lambda: headers.set("X-A", "2"),
        lambda: headers.prepend("X-C", "1"),
        lambda: headers.remove("X-A"),
    )
    for change in changes:
        change()
        assert headers.version not in seen
        seen.add(headers.version)


def test_an_element_of_a_list_is_found_in_whatever_case_and_place() -> None:
    headers = Headers([("Supported", "timer, 100rel"), ("k", " GRUU ,,"), ("X-List", "One"), ("Subject", "a, b")])
    found = [name for name in ("TIMER", "100rel", "gruu", "one", "100re", "") if headers.has_element("Supported", name)]
    assert found == ["TIMER", "100rel", "gruu"]
    assert headers.has_element("X-List", "one") and not headers.has_element("Subject", "b")
    assert not headers.has_element("Require", "timer")
