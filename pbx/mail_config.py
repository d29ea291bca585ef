"""The server that takes our e-mail: `[server.mail]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pbx.config_table import Table, integer, one_of, seconds, text_like, text_of
from pbx.objects import shape
from pbx.objects.shape import option
from pbx.objects.words import EMAIL
from pbx.tenants import TenantConfig
from pbx.tls import file_path

SECURITY: Final = ("starttls", "tls", "none")
_HOST: Final = text_like(r"[A-Za-z0-9.:-]{1,253}", "the name or address of an SMTP server")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class MailConfig:
    """`ca` None: the authorities of this machine. Sending is given up `give_up_h` hours after the first try."""

    host: str = option(_HOST)
    sender: str = option(EMAIL)
    port: int = option(integer(1, 65535), 587)
    security: str = option(one_of(*SECURITY), "starttls")
    ca: str = option(file_path, "")
    username: str = option(text_of, "")
    password: str = option(text_of, "", secret=True)
    timeout_s: float = option(seconds(1, 600), 30.0)
    give_up_h: int = option(integer(1, 720), 72)
    attachment_mb: int = option(integer(1, 100), 10)


def read_mail(table: Table) -> MailConfig:
    """The table `[server.mail]`; faults go to its report."""
    found = shape.read(MailConfig, table)
    if bool(found.username) != bool(found.password):
        table.refuse("username", "username and password go together")
    if found.password and found.security == "none" and found.host not in _LOOPBACK:
        table.refuse("security", "a password does not travel in the clear, give 'starttls' or 'tls'")
    return found


def mail_warnings(mail: MailConfig | None, tenants: Iterable[TenantConfig]) -> Iterator[str]:
    """Mailboxes whose owners would wait for e-mail in vain."""
    if mail is not None:
        return
    for tenant in tenants:
        for extension in tenant.extensions.values():
            if extension.mailbox is not None and extension.mailbox.email:
                yield f"{tenant.domain}: mailbox of {extension.number} has an email, and there is no [server.mail]"
