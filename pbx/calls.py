"""What the PBX does with a call: admission, routing, ring, bridge. Written on the public call API alone.

Outcomes need no code here: what `dial` raises unwinds the handler and becomes the caller's response, cause and CDR.
"""

from __future__ import annotations

from typing import Final

from pbx.admission import Admission
from pbx.directory import LiveDirectory
from pbx.routing import NoRoute, ToEcho, ToExtension, route
from pbx.tenants import ExtensionConfig
from voipat import App, Call, Rejected, reasons


class Switchboard:
    """Handles every call of the App it is attached to."""

    def __init__(self, directory: LiveDirectory, admission: Admission | None = None) -> None:
        self._directory: Final = directory
        self.admission: Final = admission or Admission()

    def attach(self, app: App) -> None:
        """Take the calls to every URI."""
        app.on_call("*")(self.handle)

    async def handle(self, call: Call) -> None:
        """One call from its INVITE to its end. Raises: CallOutcome."""
        # The snapshot of this moment: a reload changes nothing for a call that is under way.
        directory = self._directory.current
        caller = directory.extension(call.tenant, call.caller)
        # Who is transferred has its place already: that of the call that it is transferred out of.
        limit = None if caller is None or call.transferred_by is not None else caller.max_calls
        with (
            self.admission.call(),
            self.admission.extension(call.tenant, call.caller, limit, reasons.CALLER_LIMIT),
        ):
            call.note("admitted as call %d of %s", self.admission.calls, self.admission.max_calls or "any number")
            match route(directory, call.tenant, call.callee if call.to.user else "", call.to.host):
                case ToExtension(extension):
                    call.note("routed to extension %s", extension.number)
                    await self._ring(call, extension)
                case ToEcho():
                    call.note("routed to the echo test")
                    await call.echo()
                case NoRoute(reason):
                    call.note("routed nowhere: %s %s", reason.id, reason.text)
                    raise Rejected(reason)

    async def _ring(self, call: Call, extension: ExtensionConfig) -> None:
        with self.admission.extension(call.tenant, extension.number, extension.max_calls, reasons.CALLEE_LIMIT):
            b_leg = await call.dial(extension.number, timeout=extension.ring_s)
            await call.bridge(b_leg)
