"""One conversation with the SMTP server: several e-mails, each accepted, refused for good, or to be tried again."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

import aiosmtplib

from pbx.mail_config import MailConfig

# RFC 5321 §4.2.1: a 5yz of a recipient, a sender or a message is final, a 4yz is not; with 421 the server leaves.
_FINAL_FROM = 500
_LEAVING = 421
# RFC 1870 §6.2, RFC 3463 §3.6: the message is too large for the server, or for what is left to its recipient.
_TOO_LARGE = (523, 552)


class MailError(Exception):
    """The server did not take an e-mail: this one (`is_final`: it never will; it may take a smaller one when this one

    `is_too_large`), or none at all (`is_over`).
    """

    def __init__(
        self, problem: str, *, is_final: bool = False, is_over: bool = False, is_too_large: bool = False
    ) -> None:
        super().__init__(problem)
        self.is_final = is_final
        self.is_over = is_over
        self.is_too_large = is_too_large


class Conversation:
    """An open connection."""

    def __init__(self, client: aiosmtplib.SMTP, config: MailConfig) -> None:
        self._client = client
        self._config = config

    @property
    def most_octets(self) -> int | None:
        """What the server says that it takes at most (RFC 1870); None when it says nothing."""
        said = self._client.esmtp_extensions.get("size", "")
        return int(said) if said.isdecimal() and int(said) else None

    async def send(self, mail: EmailMessage, recipient: str) -> None:
        """Returns when the server has taken it over. Raises: MailError."""
        try:
            await self._client.send_message(mail, sender=self._config.sender, recipients=[recipient])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0]) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError(_plain(error), is_over=True) from error


@asynccontextmanager
async def conversation(config: MailConfig) -> AsyncIterator[Conversation]:
    """Connect, encrypt and log in. Raises: MailError (`is_over`): the server or our configuration may be mended."""
    client = aiosmtplib.SMTP(
        hostname=config.host,
        port=config.port,
        timeout=config.timeout_s,
        use_tls=config.security == "tls",
        start_tls=config.security == "starttls",
        username=config.username or None,
        password=config.password or None,
        tls_context=None if config.security == "none" else _context(config),
    )
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        raise MailError(_plain(error), is_over=True) from error
    try:
        yield Conversation(client, config)
        if client.is_connected:
            await _leave(client)
    finally:
        client.close()


async def _leave(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit()
    except (aiosmtplib.SMTPException, OSError):
        return  # what it has taken it has


def _context(config: MailConfig) -> ssl.SSLContext:
    """Raises: MailError for authorities that cannot be read."""
    try:
        return ssl.create_default_context(cafile=config.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise MailError(f"{config.ca}: {_plain(error)}", is_over=True) from error


def _refused(error: aiosmtplib.SMTPResponseException) -> MailError:
    problem = _line(f"{error.code} {error.message}")
    is_too_large = error.code in _TOO_LARGE
    return MailError(
        problem, is_final=error.code >= _FINAL_FROM, is_over=error.code == _LEAVING, is_too_large=is_too_large
    )


def _plain(error: Exception) -> str:
    return _line(str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]
