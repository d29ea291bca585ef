"""One request of ours outside of any call, and its final response: OPTIONS and REGISTER to gateways."""

from __future__ import annotations

import asyncio

from sipcore.errors import SipError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.flow import Flow
from sipcore.message import Request
from voipat.exchange import Exchange


async def ask(exchange: Exchange, request: Request, flow: Flow | None) -> ResponseReceived | None:
    """The final response, None when there was none; not before the transaction gives up (RFC 3261 §17.1.2)."""
    waiting = _Waiting(asyncio.get_running_loop().create_future())
    try:
        exchange.send(waiting, request, flow)
    except SipError:
        return None
    return await waiting.answer


class _Waiting:
    def __init__(self, answer: asyncio.Future[ResponseReceived | None]) -> None:
        self.answer = answer

    def on_response(self, event: ResponseReceived) -> None:
        """Only the final one counts."""
        if event.response.status >= 200 and not self.answer.done():
            self.answer.set_result(event)

    def on_failure(self, event: RequestFailed) -> None:
        """No answer at all."""
        if not self.answer.done():
            self.answer.set_result(None)
