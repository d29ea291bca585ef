"""Who is told of an emergency call (`emergency.notify`) and of a new country (`limits.notify`), by a text message.

The call does not wait for it. What no phone takes now is kept as any message to who is away; the sender is who calls,
so that an answer goes there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from pbx.tenants import TenantConfig
from voipat import App, Call
from voipat.messages import text_message
from voipat.reasons import Reason

log: Final = logging.getLogger(__name__)


class Alerts:
    """A service of the App."""

    def __init__(self) -> None:
        self._app: App | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, app: App) -> None:
        """From now on messages can be sent."""
        self._app = app

    async def stop(self) -> None:
        """Let none outlive the App."""
        self._app = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def emergency(self, call: Call, tenant: TenantConfig, caller: str, number: str) -> None:
        """Tell that `caller` calls the emergency number; returns at once."""
        log.warning("emergency call", extra={"tenant": tenant.domain, "call": call.id, "caller": caller, "to": number})
        text = emergency_text(call, tenant, caller, number)
        self._tell(tenant.domain, caller, tenant.plan.emergency.notify, text, "an emergency call")

    def new_country(self, call: Call, tenant: TenantConfig, caller: str, number: str, country: str) -> None:
        """Tell that `caller` calls `number`, in a country that nobody of the tenant has called; returns at once."""
        fields = {"tenant": tenant.domain, "call": call.id, "caller": caller, "to": number, "country": country}
        log.warning("first call to a country", extra=fields)
        text = f"First call to +{country}: {_who(call, tenant, caller)} calls {number}, {_when(call, tenant)}"
        self._tell(tenant.domain, caller, tenant.plan.limits.notify, text, "a new country")

    def _tell(self, tenant: str, sender: str, recipients: Sequence[str], text: str, what: str) -> None:
        if self._app is None or not recipients:
            return
        sending = self._send(self._app, tenant, sender, recipients, text, what)
        task = asyncio.get_running_loop().create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, app: App, tenant: str, sender: str, recipients: Sequence[str], text: str, what: str) -> None:
        messages = (text_message(tenant, sender, recipient, text) for recipient in recipients)
        outcomes = await asyncio.gather(*map(app.messages.take, messages), return_exceptions=True)
        for recipient, outcome in zip(recipients, outcomes, strict=True):
            if isinstance(outcome, Reason | BaseException):
                why = f"{outcome.id} {outcome.text}" if isinstance(outcome, Reason) else repr(outcome)
                fields = {"tenant": tenant, "recipient": recipient, "why": why}
                log.error("nobody was told of %s", what, extra=fields)


def emergency_text(call: Call, tenant: TenantConfig, caller: str, number: str) -> str:
    """What is sent: who, from which desk, what number, when in the tenant's time zone."""
    return f"Emergency call: {_who(call, tenant, caller)} calls {number}, {_when(call, tenant)}"


def _who(call: Call, tenant: TenantConfig, caller: str) -> str:
    extension = tenant.extensions.get(caller)
    name = "" if extension is None or not extension.name else f" ({extension.name})"
    return f"{caller}{name}" + (f" at the desk {call.seat}" if call.seat else "")


def _when(call: Call, tenant: TenantConfig) -> str:
    when = datetime.fromtimestamp(call.started, ZoneInfo(tenant.plan.settings.time_zone))
    return f"{when:%Y-%m-%d %H:%M:%S}"
