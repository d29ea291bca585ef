"""Watches over one trunk: asks by OPTIONS whether it is there, and keeps our registration at it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from math import inf
from typing import Final

from pbx.trunk_config import TrunkConfig
from pbx.trunk_line import TrunkLine
from sipcore.entropy import Entropy
from sipcore.events import ResponseReceived
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.registration import Account, Registration, RegistrationState
from sipcore.uri import Uri, escape_user
from voipat import App, events

logger: Final = logging.getLogger("pbx.trunks")

# Between the questions to a trunk that does not answer: it is to be found back soon, and its network spared.
OPTIONS_OUT_S: Final = 10.0
# An OPTIONS that waits for longer than this has failed, whatever its transaction still hopes for.
PATIENCE_S: Final = 4.0
# How a registration may come to stand, for a while.
_TOLD: Final = frozenset((RegistrationState.REGISTERED, RegistrationState.WAITING, RegistrationState.STOPPED))
# How long the end waits for our registration to be taken back.
REMOVAL_S: Final = 1.0


class TrunkWatch:
    """The tasks of one trunk under one configuration; a changed one gets a new watch."""

    def __init__(self, app: App, line: TrunkLine, entropy: Entropy) -> None:
        self.config: Final[TrunkConfig] = line.config
        self._app = app
        self._line = line
        self._entropy = entropy
        self._registration = Registration(account_of(line), entropy) if self.config.register else None
        self._tasks = []
        name = f"trunk {line.tenant}/{self.config.name}"
        if self.config.options_s:
            self._tasks.append(asyncio.create_task(self._ask(), name=f"{name} options"))
        if self._registration is not None:
            self._tasks.append(asyncio.create_task(self._register(self._registration), name=f"{name} register"))

    def end(self) -> None:
        """Stop at once; the registration runs out by itself."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop, and take the registration back."""
        self.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        registration = self._registration
        if registration is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(REMOVAL_S):
                await self._exchange(registration, registration.stop(self._now()))

    # OPTIONS

    async def _ask(self) -> None:
        """One question after the other; the first at a moment of its own, so that a start is no storm."""
        await asyncio.sleep(self._entropy.uniform(0.0, min(self.config.options_s, 2.0)))
        while True:
            asked = self._now()
            answer = await self._answer_to_options()
            if answer is None or answer.response.status in (408, 503):
                self._line.failed("no answer to OPTIONS" if answer is None else f"{answer.response.status} to OPTIONS")
                pause = min(self.config.options_s, OPTIONS_OUT_S)
            else:
                # Whatever else it says, it is there (RFC 3261 §11.2).
                self._line.succeeded()
                pause = self.config.options_s
            await asyncio.sleep(max(pause - (self._now() - asked), 1.0))

    async def _answer_to_options(self) -> ResponseReceived | None:
        config = self.config
        # The task that waits ends with the transaction at the latest.
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                us = f"<{Uri('sip', None, config.domain)}>"
                return await self._app.ask(Request("OPTIONS", _address(config), [("From", us)]))
        return None

    # REGISTER

    async def _register(self, registration: Registration) -> None:
        request = registration.start(self._now())
        while registration.state is not RegistrationState.STOPPED:
            await self._exchange(registration, request)
            if registration.due == inf:
                break
            await asyncio.sleep(max(registration.due - self._now(), 0.0))
            request = registration.handle_timeout(max(self._now(), registration.due))

    async def _exchange(self, registration: Registration, request: Request | None) -> None:
        """Send until the registration has nothing more to send for now."""
        while request is not None:
            answer = await self._app.ask(request)
            if answer is None:
                registration.failed(self._now())
                request = None
            else:
                request = registration.receive(answer, self._now())
                self._learn(registration, answer.flow)
        self._note(registration)

    def _learn(self, registration: Registration, flow: Flow) -> None:
        if registration.state is RegistrationState.REGISTERED:
            self._line.learn(flow.remote, port=not flow.reliable)

    def _note(self, registration: Registration) -> None:
        line = self._line
        before, line.registration = line.registration, registration.state.value
        line.service_route = registration.service_route
        if before == line.registration:
            return
        names = {"tenant": line.tenant, "trunk": self.config.name, "status": registration.status}
        if registration.state in _TOLD:
            state = registration.state.value
            line.publish(events.TrunkRegistered(line.tenant, self.config.name, state, registration.status))
        match registration.state:
            case RegistrationState.REGISTERED:
                logger.info("trunk is registered", extra=names)
            case RegistrationState.WAITING:
                logger.warning("trunk is not registered, tried again later", extra=names)
            case RegistrationState.STOPPED:
                logger.error("trunk refuses our credentials, not tried again until a reload", extra=names)
            case _:
                pass

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def account_of(line: TrunkLine) -> Account:
    """What is registered for a trunk."""
    config = line.config
    return Account(
        registrar=_address(config),
        aor=Uri("sip", escape_user(config.username), config.domain),
        username=config.username,
        realm=config.realm,
        password=config.password,
        contact_user=line.token,
        expires=config.register_s,
        bulk=config.bulk,
    )


def _address(config: TrunkConfig) -> Uri:
    params: dict[str, str | None] = {} if config.transport == "udp" else {"transport": config.transport}
    return Uri("sip", None, config.host, config.port, params=params)
