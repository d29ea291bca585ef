"""What a trace shows, and what it masks."""

from __future__ import annotations

import pytest

from voipat import events
from voipat.recorder import Note
from voipat.trace import decision_text, masked, our_reason, summary

HEAD = b"INVITE sip:1002@office.test SIP/2.0\r\nCSeq: 1 INVITE\r\n"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (b'Authorization: Digest username="1001", realm="office.test", response="0123abcd", nc=00000001', b"0123abcd"),
        (b"Proxy-Authorization: Digest username=1001,response=0123abcd,qop=auth", b"0123abcd"),
        (b'Authorization: Digest username="1001",\r\n response = "0123abcd"', b"0123abcd"),
        (b'Authentication-Info: rspauth="0123abcd"', b"0123abcd"),
        (b"Authorization: Basic MTAwMTpoZW1saWc=", b"MTAwMTpoZW1saWc="),
        (b"authorization : Bearer eyJhbGciOi.x", b"eyJhbGciOi.x"),
        (b"Authorization:\r\n Bearer eyJhbGciOi.x", b"eyJhbGciOi.x"),
        (b"Authorization: Bearer\r\n\teyJhbGciOi.x", b"eyJhbGciOi.x"),
        (b"Authorization: Bearer first,\r\n eyJhbGciOi.x", b"eyJhbGciOi.x"),
        (b"Authorization: eyJhbGciOi.x", b"eyJhbGciOi.x"),
        (b'Authorization:\r\n Digest username="1001", response=\r\n "0123abcd"', b"0123abcd"),
        (b"Contact: <sip:1001:hemlig@192.0.2.1:5060>", b"hemlig"),
        (b"To: <sip:1002@office.test;postd=pp4711>", b"4711"),
        (b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9|2^20", b"WVNfX19zZW1jdGw"),
        (b'<kpml-response version="1.0" code="200" digits="4711"/>', b"4711"),
        (b"<kpml-response digits = '4711'/>", b"4711"),
    ],
)
def test_secrets_are_masked_and_the_length_stays(line: bytes, secret: bytes) -> None:
    message = HEAD + line + b"\r\nTo: <sip:1002@office.test>\r\n\r\n"
    shown = masked(message)
    assert secret not in shown and len(shown) == len(message)
    assert shown.endswith(b"To: <sip:1002@office.test>\r\n\r\n") and shown.startswith(HEAD)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"Signal=5\r\nDuration=160", b"Signal=x\r\nDuration=160"),
        (b"Signal= *\r\nDuration=160\r\n", b"Signal= x\r\nDuration=160\r\n"),
        (b"5", b"x"),
        (b"d=4711#\r\n", b"d=xxxxx\r\n"),
        (b"Signal=5\r\nDuration=160\r\nd=4711", b"Signal=x\r\nDuration=160\r\nd=xxxx"),
        (b"Signal=5\nDuration=41111111", b"Signal=x\nDuration=xxxxxxxx"),
    ],
)
def test_digits_of_info_are_masked(body: bytes, shown: bytes) -> None:
    head = b"INFO sip:1002@office.test SIP/2.0\r\nCall-ID: 4711@x\r\nContent-Length: 25\r\n\r\n"
    assert masked(head + body) == head + shown


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"])
def test_what_a_message_says_is_masked(before: bytes, line_end: bytes) -> None:
    head = before + line_end.join((b"MESSAGE sip:1002@office.test SIP/2.0", b"Call-ID: 4711@x", b"", b""))
    assert masked(head + b"the door is 4711\r\n\r\nbye") == head + b"x" * 16 + b"\r\n\r\nxxx"
    info = head.replace(b"MESSAGE", b"INFO")
    assert masked(info + b"4711") == info + b"xxxx"


def test_what_is_no_secret_stays() -> None:
    message = (
        HEAD + b"Contact: <sip:1001@192.0.2.1:5060;transport=udp>\r\nRoute: <sip:192.0.2.9:5060;lr>\r\n\r\nv=0\r\n"
    )
    assert masked(message) == message


def test_a_message_in_a_few_words() -> None:
    assert summary(HEAD) == "INVITE sip:1002@office.test"
    assert summary(b"SIP/2.0 180 Ringing\r\nCSeq: 7 INVITE\r\n\r\n") == "180 Ringing (INVITE)"
    assert summary(b"SIP/2.0 180 Ringing\r\nCSeq: 7 INVITE\r\n\r\n", uris=False) == "180 INVITE"
    assert summary(b"\xff\x00") == "\ufffd\x00"


def test_our_reason_is_read_from_warning_and_reason() -> None:
    warning = HEAD + b'Warning: 399 127.0.0.1:5060 "VP-3001 Unknown number"\r\n\r\n'
    assert our_reason(warning) == "VP-3001 Unknown number"
    assert our_reason(HEAD + b'Reason: Q.850;cause=16;text="VP-4001 Normal call clearing"\r\n\r\n').startswith(
        "VP-4001"
    )
    assert our_reason(HEAD + b'\r\nWarning: 399 x "VP-3001 in the body"') == ""


def test_a_decision_shows_no_password() -> None:
    refused = events.RequestRefused("INVITE", "192.0.2.1", "sip:1001:hemlig@office.test", 403, "VP-1005", "x")
    assert "hemlig" not in decision_text(refused) and "VP-1005 Not served here" in decision_text(refused)
    assert decision_text(Note("100 % sure")) == "100 % sure"
    assert decision_text(Note("call %d of %s", (1, "any"))) == "call 1 of any"
