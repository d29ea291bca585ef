"""RFC 3261 §7.3: a header has one name, however it is spelled. Looking up, removing and replacing agree about it.

Kamailio's `remove_hf` once left `X-Hdr :` in place (ES2020-01): what a server believes it has removed must be gone.
"""

from __future__ import annotations

import pytest

from sipcore.headers import Headers
from sipcore.message import Request
from sipcore.parser import parse_message

SPELLINGS = {
    "Via": ["Via", "VIA", "via", "vIa", "v", "V", "Via ", "via\t", "v ", "V \t "],
    "Contact": ["Contact", "CONTACT", "cOnTaCt", "m", "M", "m\t", "Contact  "],
    "Subject": ["Subject", "subject", "s", "S", "s ", "SUBJECT\t"],
    "P-Asserted-Identity": [
        "P-Asserted-Identity",
        "p-asserted-identity",
        "P-ASSERTED-IDENTITY ",
        "p-Asserted-Identity\t",
    ],
    "Authorization": ["Authorization", "AUTHORIZATION", "authorization \t", "AuthorizatioN "],
    "Refer-To": ["Refer-To", "r", "R ", "refer-to\t"],
    "X-Hdr": ["X-Hdr", "x-hdr", "X-HDR", "X-Hdr ", "x-hdr\t", "X-hDR  \t"],
}
EACH = [(name, spelled) for name, spellings in SPELLINGS.items() for spelled in spellings]
VALUES = {
    "Via": "SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK77",
    "Contact": "<sip:seventyseven@192.0.2.77>",
    "P-Asserted-Identity": "<sip:seventyseven@192.0.2.77>",
    "Refer-To": "<sip:seventyseven@192.0.2.77>",
    "Authorization": 'Digest username="seventyseven"',
}

each_spelling = pytest.mark.parametrize(("name", "spelled"), EACH, ids=[repr(spelled) for _, spelled in EACH])


def value_of(name: str) -> str:
    return VALUES.get(name, "seventyseven")


def received(name: str, spelled: str) -> Request:
    """A request that has the header in this spelling, last of all."""
    mark = "" if name == "Via" else "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    message = parse_message(
        f"OPTIONS sip:a@example.com SIP/2.0\r\n{mark}From: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\n"
        f"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n{spelled}: {value_of(name)}\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def test_there_are_forty_spellings() -> None:
    assert len(EACH) >= 40 and len(set(EACH)) == len(EACH)


@pytest.mark.rfc("3261", "7.3.1", "When comparing header fields, field names are always case-insensitive.")
@each_spelling
def test_every_spelling_finds_every_spelling(name: str, spelled: str) -> None:
    """ "When comparing header fields, field names are always case-insensitive." """
    headers = received(name, spelled).headers
    for asked in SPELLINGS[name]:
        assert asked in headers
        assert headers.get(asked) == value_of(name)
        assert headers.get_all(asked) == headers.lines(asked) == [value_of(name)]


@pytest.mark.rfc("3261", "7.3.3", "Implementations MUST accept both the long and short forms of each header name.")
@each_spelling
def test_what_is_removed_in_any_spelling_is_gone(name: str, spelled: str) -> None:
    """ "Implementations MUST accept both the long and short forms of each header name." """
    for asked in SPELLINGS[name]:
        message = received(name, spelled)
        message.headers.remove(asked)
        assert asked not in message.headers and name not in message.headers
        assert message.headers.get(spelled) is None and not message.headers.get_all(spelled)
        assert b"seventyseven" not in message.to_bytes() and b"192.0.2.77" not in message.to_bytes()


@pytest.mark.rfc("3261", "7.3.1", "When comparing header fields, field names are always case-insensitive.")
@each_spelling
def test_what_is_replaced_in_any_spelling_is_there_once(name: str, spelled: str) -> None:
    for asked in SPELLINGS[name]:
        message = received(name, spelled)
        message.headers.set(asked, "eightyeight")
        assert message.headers.lines(name) == message.headers.lines(spelled) == ["eightyeight"]
        sent = message.to_bytes()
        assert sent.count(b"eightyeight") == 1
        assert b"seventyseven" not in sent and b"192.0.2.77" not in sent


@pytest.mark.rfc(
    "3261",
    "7.3.1",
    'It MUST be possible to combine the multiple header field rows into one "field-name: field-value" pair, '
    "without changing the semantics of the message, by appending each subsequent field-value to the first, each "
    "separated by a comma.",
)
@pytest.mark.parametrize("name", SPELLINGS)
def test_all_spellings_together_are_one_header(name: str) -> None:
    headers = Headers([(spelled, str(index)) for index, spelled in enumerate(SPELLINGS[name])])
    assert headers.lines(name) == [str(index) for index in range(len(SPELLINGS[name]))]
    headers.set(SPELLINGS[name][-1], "one")
    assert headers.lines(name) == ["one"]
    headers.remove(SPELLINGS[name][0])
    assert not headers.items()


@pytest.mark.rfc("3261", "7.3.1", "When comparing header fields, field names are always case-insensitive.")
def test_a_name_within_a_value_or_a_longer_name_is_another_matter() -> None:
    headers = received("X-Hdr", "X-Hdr").headers
    headers.add("X-Hdr-2", "X-Hdr: not me")
    headers.add("XX-Hdr", "nor me")
    headers.remove("X-Hdr")
    assert (headers.get("X-Hdr-2"), headers.get("XX-Hdr")) == ("X-Hdr: not me", "nor me")
