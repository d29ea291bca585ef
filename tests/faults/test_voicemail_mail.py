"""Voicemail by e-mail against a real SMTP server: nothing is lost while it is down, nothing is sent for ever."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bench.rig.processes import free_port
from media.sealed import Format
from media.wav import read_wav
from pbx import config
from pbx.directory import Directory, LiveDirectory
from pbx.mail_config import MailConfig
from pbx.store.base import MessageRecord
from pbx.store.sqlite import SqliteStore
from pbx.tenant_state import LiveState
from pbx.voicemail.mail_text import Letter, compose
from pbx.voicemail.mail_wordings import WORDINGS
from pbx.voicemail.opening import open_mailboxes
from pbx.voicemail.outbox import Outbox
from pbx.voicemail.smtp import conversation
from tests.certificates import Authority
from voipat.speech import LANGUAGES

DOMAIN = "office.test"
OFFICE = """\
[[tenant]]
domain = "office.test"
time_zone = "Europe/Berlin"
[tenant.features]
voicemail = "*97"
[tenant.extensions]
1001 = { password = "pass-1001", mailbox = { email = "one@example.test" } }
1002 = { password = "pass-1002", mailbox = { email = "two@example.test", email_delete = true, language = "de" } }
1003 = { password = "pass-1003", mailbox = { email = "three@example.test", email_attach = false } }
1004 = { password = "pass-1004", mailbox = {} }
"""
BEGIN = 1_800_000_000.0
DAY_S = 86_400.0


@dataclass
class Inbox:
    """The other side; `answers` are said to the next recipients instead of taking them."""

    port: int = field(default_factory=free_port)
    letters: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    largest: int | None = None  # more is refused after it was sent
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    users: list[tuple[str, bool]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        if self.largest is not None and len(content) > self.largest:
            return "552 5.3.4 too large"
        self.raw.append(content)
        letter = message_from_bytes(content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append((data.login.decode(), session.ssl is not None))
        return AuthResult(success=data.password == b"right")


class MailOffice:
    """Mailboxes and outbox on a real store; `now` is the time that passes, `set_by` what the clock is set by."""

    def __init__(self, directory: Path, mail: MailConfig) -> None:
        self.mail = mail
        self.now = BEGIN
        self.set_by = 0.0
        self.store = SqliteStore.open(directory, wallclock=self.wallclock)
        loaded = config.parse(OFFICE, environ={})
        self.directory = LiveDirectory(Directory(loaded.tenants))
        self.boxes = open_mailboxes(
            directory, self.store, LiveState(), wallclock=self.wallclock, random_bytes=os.urandom
        )
        self.outbox = Outbox(
            *(self.store, self.boxes, self.directory, lambda: self.mail),
            wallclock=self.wallclock,
            connect=conversation,
            monotonic=lambda: self.now,
        )
        self.boxes.on_kept(self.outbox.put)
        self.outbox.recover([DOMAIN])
        self.boxes.recover([DOMAIN])

    def wallclock(self) -> float:
        return self.now + self.set_by

    def leave(self, mailbox: str, *, seconds: float = 2.0, caller: str = "1005", name: str = "Zoë") -> MessageRecord:
        draft = self.boxes.begin(DOMAIN, mailbox, caller=caller, name=name)
        file = draft.create(DOMAIN, "", Format(8000, 1))
        file.write(tone(seconds))
        file.close()
        assert self.boxes.end(DOMAIN, draft, seconds)
        (message,) = [each for each in self.boxes.messages(DOMAIN, mailbox) if each.id == draft.record.id]
        return message


def tone(seconds: float) -> bytes:
    times = np.arange(int(seconds * 8000)) / 8000
    return (8000 * np.sin(2 * np.pi * 500 * times)).astype("<i2").tobytes()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    yield found
    controller.stop()


def plain(inbox: Inbox) -> MailConfig:
    return MailConfig("127.0.0.1", "pbx@example.test", inbox.port, "none", timeout_s=5.0)


def with_office(
    directory: Path, mail: MailConfig, act: Callable[[MailOffice], Awaitable[None]], *, left: int = 0
) -> None:
    async def run() -> None:
        office = MailOffice(directory, mail)
        try:
            await act(office)
            assert len(office.outbox) == left
        finally:
            office.store.close()

    asyncio.run(run())


def test_a_message_goes_out_with_what_was_said(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        message = office.leave("1001")
        office.leave("1004")
        await office.outbox.send_due()
        assert (office.outbox.sent, inbox.recipients) == (1, ["one@example.test"])
        (letter,) = inbox.letters
        assert letter["Subject"] == "Voice message from Zoë (1005), 0:02"
        assert letter["Message-ID"] == f"<voicemail-{message.id}@office.test>"
        text = letter.get_body(("plain",))
        assert text is not None and "on 2027-01-15 at 09:00" in text.get_content(), "in the zone of the tenant"
        (part,) = letter.iter_attachments()
        assert part.get_content_type() == "audio/wav"
        sound = read_wav(part.get_content())
        assert sound.samples.astype("<i2").tobytes() == tone(2.0)
        assert [each.folder for each in office.boxes.messages(DOMAIN, "1001")] == ["new"]

    with_office(tmp_path, plain(inbox), act)


def test_a_mailbox_may_keep_nothing_or_attach_nothing(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        office.leave("1002")
        office.now += 1.0
        office.leave("1003")
        await office.outbox.send_due()
        german, bare = inbox.letters
        assert german["Subject"].startswith("Sprachnachricht von Zoë")
        assert office.boxes.messages(DOMAIN, "1002") == [] and list(bare.iter_attachments()) == []
        assert len(office.boxes.messages(DOMAIN, "1003")) == 1

    with_office(tmp_path, plain(inbox), act)


def test_what_is_too_large_is_told_and_stays(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        office.leave("1002", seconds=70.0)
        await office.outbox.send_due()
        (letter,) = inbox.letters
        assert list(letter.iter_attachments()) == []
        text = letter.get_body(("plain",))
        assert text is not None and "zu lang für einen Anhang" in text.get_content()
        assert "wählen Sie *97" in text.get_content(), "where to hear it"
        assert len(office.boxes.messages(DOMAIN, "1002")) == 1, "what is not in the e-mail is not deleted"

    with_office(tmp_path, replace(plain(inbox), attachment_mb=1), act)


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_for_the_server_goes_without_its_sound(tmp_path: Path, announced: bool) -> None:
    """RFC 1870: the server says how much it takes, or refuses what it was sent."""
    inbox = Inbox(largest=100_000)
    controller = Controller(
        inbox, hostname="127.0.0.1", port=inbox.port, data_size_limit=100_000 if announced else 33_554_432
    )

    async def act(office: MailOffice) -> None:
        office.leave("1002", seconds=10.0)
        office.now += 1.0
        office.leave("1001", seconds=2.0)
        await office.outbox.send_due()
        large, small = inbox.letters
        assert list(large.iter_attachments()) == [] and len(list(small.iter_attachments())) == 1
        assert (office.outbox.sent, office.outbox.given_up) == (2, 0)
        assert len(office.boxes.messages(DOMAIN, "1002")) == 1

    controller.start()
    try:
        with_office(tmp_path, plain(inbox), act)
    finally:
        controller.stop()


@pytest.mark.parametrize("by", [-30 * DAY_S, -3600.0, 3600.0, 30 * DAY_S])
def test_a_clock_that_is_set_neither_holds_a_mail_back_nor_gives_it_up(tmp_path: Path, inbox: Inbox, by: float) -> None:
    async def act(office: MailOffice) -> None:
        up, office.mail = office.mail, replace(office.mail, port=free_port())
        office.leave("1001")
        await office.outbox.send_due()
        office.now += 10.0
        office.set_by = by
        await office.outbox.send_due()
        assert office.store.flush(5.0)
        (row,) = office.store.tenant(DOMAIN).load_outbox()
        assert (row.tries, row.next_try) == (1, BEGIN + 60.0 + by), "it is due when it would have been"
        office.now += 50.0
        await office.outbox.send_due()
        assert len(office.outbox) == 1 and office.outbox.given_up == 0
        office.mail = up
        office.now += 120.0
        await office.outbox.send_due()
        assert office.outbox.sent == 1

    with_office(tmp_path, plain(inbox), act)


@pytest.mark.parametrize("by", [-30 * DAY_S, -7200.0, 3600.0])
def test_a_clock_that_was_set_while_nobody_ran_holds_a_mail_back_for_an_hour_at_most(
    tmp_path: Path, inbox: Inbox, by: float
) -> None:
    async def begin(office: MailOffice) -> None:
        office.mail = replace(office.mail, port=free_port())
        office.leave("1001")
        await office.outbox.send_due()

    async def go_on(office: MailOffice) -> None:
        office.now += by
        office.outbox.recover([DOMAIN])
        office.now += 3600.0
        await office.outbox.send_due()
        assert office.outbox.sent == 1

    with_office(tmp_path, plain(inbox), begin, left=1)
    with_office(tmp_path, plain(inbox), go_on)


def test_a_server_that_is_down_is_tried_again_with_growing_pauses(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        up, office.mail = office.mail, replace(office.mail, port=free_port())
        message = office.leave("1001")
        pauses = []
        for _ in range(8):
            await office.outbox.send_due()
            row = office.outbox.waiting(DOMAIN, message.id)
            assert row is not None and row.problem
            pauses.append(row.next_try - office.now)
            await office.outbox.send_due()
            assert office.outbox.waiting(DOMAIN, message.id) == row, "nothing is tried before its time"
            office.now = row.next_try
        assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
        office.mail = up
        await office.outbox.send_due()
        assert len(inbox.letters) == 1

    with_office(tmp_path, plain(inbox), act)


def test_it_is_given_up_in_the_end_and_the_message_stays(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        office.mail = replace(office.mail, port=free_port(), give_up_h=1)
        office.leave("1001")
        for _ in range(2):
            await office.outbox.send_due()
            office.now += 3601
        assert (len(office.outbox), office.outbox.given_up) == (0, 1)
        assert len(office.boxes.messages(DOMAIN, "1001")) == 1

    with_office(tmp_path, plain(inbox), act)


def test_a_refusal_holds_up_its_own_letter_alone(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        inbox.answers = ["550 5.1.1 no such user", "451 4.7.1 greylisted, come back later"]
        for _ in range(3):
            office.leave("1001")
            office.now += 1.0
        await office.outbox.send_due()
        assert (office.outbox.given_up, office.outbox.sent, len(office.outbox)) == (1, 1, 1)
        office.now += 60
        await office.outbox.send_due()
        assert office.outbox.sent == 2

    with_office(tmp_path, plain(inbox), act)


def test_what_waits_outlives_a_restart(tmp_path: Path, inbox: Inbox) -> None:
    async def before(office: MailOffice) -> None:
        office.mail = replace(office.mail, port=free_port())
        office.leave("1001")
        await office.outbox.send_due()

    async def after(office: MailOffice) -> None:
        office.now += 100
        await office.outbox.send_due()
        assert len(inbox.letters) == 1

    with_office(tmp_path, plain(inbox), before, left=1)
    with_office(tmp_path, plain(inbox), after)
    with_office(tmp_path, plain(inbox), after)


def test_a_message_that_its_owner_deletes_is_not_sent(tmp_path: Path, inbox: Inbox) -> None:
    async def act(office: MailOffice) -> None:
        office.boxes.delete(DOMAIN, office.leave("1001"))
        await office.outbox.send_due()
        await asyncio.sleep(0.2)
        assert inbox.letters == []

    with_office(tmp_path, plain(inbox), act)


@pytest.mark.parametrize("code", ["", "*97"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_that_is_spoken_has_its_words(language: str, code: str) -> None:
    message = MessageRecord("id", "1001", "1005", "Zoë", BEGIN, 65.0, "new", "kept")
    found = []
    for is_too_large, is_deleted in ((False, True), (True, False)):
        letter = Letter(
            *(message, DOMAIN, "pbx@example.test", "one@example.test", language, "Europe/Berlin"),
            is_too_large=is_too_large, is_deleted=is_deleted, code=code,
        )  # fmt: skip
        mail = compose(letter, BEGIN)
        text = mail.get_content()
        assert "Zoë (1005), 1:05" in mail["Subject"] and "1001@office.test" in text and "{" not in text
        found.append(text)
    assert (code in found[1]) and found[0] != found[1] and WORDINGS[language].too_large in found[1]


def test_names_of_callers_make_no_headers(tmp_path: Path, inbox: Inbox) -> None:
    names = [
        "Eve\r\nBcc: all@example.test",
        "x\x00\x1b[31m",
        "🦊" * 60,
        "Привет",
        "a\u2028b",
        "\udcff",
        "=?utf-8?q?x?=",
        "x" * 1100 + "\r\nBcc: all@example.test\r\n\r\nbody",
        "Ä" * 1100,
    ]

    async def act(office: MailOffice) -> None:
        for name in names:
            office.leave("1001", name=name, caller="+12025550100")
            office.now += 1.0
        await office.outbox.send_due()
        assert inbox.recipients == ["one@example.test"] * len(names)
        for letter in inbox.letters:
            assert set(letter.keys()) >= {"From", "To", "Subject"} and "Bcc" not in letter
            assert len(letter.get_all("Subject", ())) == 1 and "+12025550100" in letter["Subject"]
            assert len(letter.keys()) == len(set(letter.keys())) == 8, "no header of the caller's"
        for raw in inbox.raw:
            # RFC 5322 §2.1.1 and RFC 2047: no line over 998 octets, nothing but ASCII.
            assert max(map(len, raw.split(b"\r\n"))) <= 998 and raw.isascii()
        assert "Привет" in inbox.letters[3]["Subject"]

    with_office(tmp_path, plain(inbox), act)


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # aiosmtpd does not count a TLS port as TLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_way_is_encrypted_and_the_server_is_who_it_says(tmp_path: Path, security: str) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "Other CA")
    pair = authority.issue("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.chain, pair.key)
    inbox, is_later = Inbox(), security == "starttls"
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=inbox.port,
        authenticator=inbox.authenticate,
        auth_required=True,
        auth_require_tls=is_later,
        require_starttls=is_later,
        **{"tls_context" if is_later else "ssl_context": context},
    )
    ca = str(authority.file)
    right = MailConfig("127.0.0.1", "pbx@example.test", inbox.port, security, ca, "pbx", "right", timeout_s=5.0)

    async def act(office: MailOffice) -> None:
        office.leave("1001")
        for wrong in (replace(right, ca=str(other.file)), replace(right, password="wrong"), replace(right, ca="")):
            office.mail = wrong
            await office.outbox.send_due()
            assert (inbox.letters, len(office.outbox)) == ([], 1)
            office.now += 3600
        office.mail = right
        await office.outbox.send_due()
        assert len(inbox.letters) == 1

    controller.start()
    try:
        with_office(tmp_path / "data", right, act)
    finally:
        controller.stop()
    assert {user for user, _ in inbox.users} == {"pbx"} and all(encrypted for _, encrypted in inbox.users if is_later)
