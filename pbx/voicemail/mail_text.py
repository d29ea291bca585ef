"""A message as an e-mail: what is written, in the language of the mailbox, and the sound as an attachment.

What came over the telephone (numbers, display names) never makes a header of its own: anything that is no letter of one
line is left out (RFC 5322 §2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from zoneinfo import ZoneInfo

from pbx.store.base import MessageRecord
from pbx.voicemail.mail_wordings import WORDINGS


@dataclass(frozen=True, slots=True)
class Letter:
    """What an e-mail is made of; `sound` None: not to be attached."""

    message: MessageRecord
    tenant: str
    sender: str
    recipient: str
    language: str
    zone: str
    sound: bytes | None = None
    is_too_large: bool = False
    is_deleted: bool = False
    code: str = ""  # dialled to hear messages


# Nobody on the way has to take octets that are no ASCII (RFC 5321 §2.4).
_SEVEN_BIT: Final = SMTP.clone(cte_type="7bit")


def compose(letter: Letter, now: float) -> EmailMessage:
    """The e-mail. Its Message-ID is that of the message, so that what is sent twice can be told."""
    message = letter.message
    wording = WORDINGS.get(letter.language.partition("-")[0], WORDINGS["en"])
    received = datetime.fromtimestamp(message.received, ZoneInfo(letter.zone))
    length = f"{int(message.seconds) // 60}:{int(message.seconds) % 60:02}"
    caller = caller_text(message) or wording.unknown
    facts = {
        "caller": caller,
        "length": length,
        "mailbox": f"{message.mailbox}@{letter.tenant}",
        "date": received.strftime(wording.day),
        "time": received.strftime("%H:%M"),
        "code": letter.code,
    }
    mail = EmailMessage(policy=_SEVEN_BIT)
    mail["From"] = Address("Voicemail", addr_spec=letter.sender)
    mail["To"] = Address(addr_spec=letter.recipient)
    mail["Subject"] = wording.subject.format(**facts)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, ZoneInfo(letter.zone)))
    mail["Message-ID"] = f"<voicemail-{message.id}@{letter.tenant}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nobody answers it by a machine
    lines = [wording.text.format(**facts)]
    if letter.sound is not None:
        lines.append(wording.attached)
    elif letter.is_too_large:
        lines.append(wording.too_large)
    kept = wording.kept.format(**facts) if letter.code else wording.kept_without_code
    lines.append(wording.deleted if letter.is_deleted else kept)
    mail.set_content("\n".join(lines) + "\n")
    if letter.sound is not None:
        name = f"{received:%Y%m%d-%H%M%S}.wav"
        mail.add_attachment(letter.sound, maintype="audio", subtype="wav", filename=name)
    return mail


def caller_text(message: MessageRecord) -> str:
    """Name and number of who left it, as one line of printable text; "" for nobody."""
    name, number = _one_line(message.name), _one_line(message.caller)
    if name and number and name != number:
        return f"{name} ({number})"
    return name or number


def _one_line(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8", "replace")
    printable = "".join(each if each.isprintable() else " " for each in clean).strip()
    # Python reads an encoded word (RFC 2047) in the value of a header that it is to write, and a line end out of that.
    return printable.replace("=?", "= ?")
