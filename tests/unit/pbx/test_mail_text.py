"""What came over the telephone makes no header and no second line of an e-mail (H17)."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from pbx.store.base import MessageRecord
from pbx.voicemail.mail_text import WORDINGS, Letter, compose

HOSTILE = [
    "O'Reilly",
    "a\r\nBcc: everybody@example.com",
    "a\nX-Header: 1\n\nbody",
    "a\r\n\r\n<script>",
    "\x00\x1b[2J\x07",
    "\u2028Bcc: x@example.com\u2029",
    "{caller.__class__}{0}%s",
    "=?utf-8?q?=0d=0aBcc:_x@example.com?=",
    "emoji \N{TELEPHONE RECEIVER} \u202egnp.exe",
    "bytes \udcff\udc80",
    '"quoted" <x@example.com>, y@example.com',
    "x" * 2000,
]
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


@pytest.mark.parametrize("language", WORDINGS)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_and_a_number_stay_in_their_place(text: str, language: str) -> None:
    message = MessageRecord("0123abcd", "1001", text, text, 1_800_000_000.0, 3.0, "new", "kept")
    letter = Letter(message, "office.test", "pbx@office.test", "owner@example.com", language, "Europe/Berlin", b"RIFF")
    data = compose(letter, 1_800_000_000.0).as_bytes()
    read = message_from_bytes(data, policy=default)
    assert list(read.keys()) == HEADERS
    assert str(read["To"]) == "owner@example.com" and str(read["From"]) == "Voicemail <pbx@office.test>"
    assert "\n" not in str(read["Subject"]) and "\r" not in str(read["Subject"])
    body, sound = read.iter_parts()
    assert len(body.get_content().splitlines()) == 3
    assert sound.get_filename() == "20270115-090000.wav"
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
