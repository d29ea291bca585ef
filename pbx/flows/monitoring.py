"""Listen, whisper, barge: a supervisor in a conversation of others, by a code and the extension's number.

4 listens, 5 whispers to the extension, 6 speaks with both; every change, and every refusal, is a row of the audit.
"""

from __future__ import annotations

from typing import Final

from pbx.decisions import ToMonitor
from pbx.flows.visit import Visit
from voipat import Call, Monitor, MonitorMode, Rejected, Tone, reasons

KEYS: Final[dict[str, MonitorMode]] = {"4": "listen", "5": "whisper", "6": "barge"}
# What an extension may do that has this in `monitor`.
ALLOWED: Final[dict[str, tuple[MonitorMode, ...]]] = {
    "never": (),
    "listen": ("listen",),
    "whisper": ("listen", "whisper"),
    "barge": ("listen", "whisper", "barge"),
}
ACTIONS: Final[dict[MonitorMode, str]] = {
    "listen": "call-listened",
    "whisper": "call-whispered",
    "barge": "call-barged",
}
TONE: Final = "tone"
SILENT: Final = "none"
NOTICE: Final = Tone(1400.0, 0.3)


async def monitor(visit: Visit, target: ToMonitor) -> None:
    """Hear the conversation of an extension. Raises: CallOutcome."""
    supervisor = _Supervisor(visit, target)
    if not supervisor.may("listen"):
        raise Rejected(reasons.MONITOR_REFUSED)
    call = visit.call
    found = call.talking_at(target.extension.number)
    if not found:
        raise Rejected(reasons.NOBODY_TALKS)
    running = call.monitor(found[0])
    await call.answer()
    notice = visit.tenant.plan.monitoring.announcement
    if notice != SILENT:
        await running.announce(NOTICE if notice == TONE else visit.prompt(notice, number=target.extension.number))
    async with call.meanwhile(supervisor.press(call, running)):
        await running.run()


class _Supervisor:
    """Who monitors, and what he may."""

    def __init__(self, visit: Visit, target: ToMonitor) -> None:
        self._visit = visit
        self._number = target.extension.number
        own = visit.tenant.extensions.get(visit.caller)
        self._modes = ALLOWED[own.monitor] if own is not None and target.extension.monitored else ()

    def may(self, mode: MonitorMode) -> bool:
        """Whether he may; written down either way."""
        visit, allowed = self._visit, mode in self._modes
        visit.call.note("%s of %s: %s", mode, self._number, "allowed" if allowed else "refused")
        visit.note_audit(visit.caller, ACTIONS[mode], self._number, allowed=allowed)
        return allowed

    async def press(self, call: Call, running: Monitor) -> None:
        """The keys, until the call ends. Raises: HungUp."""
        async for digit in call.digits():
            wanted = KEYS.get(digit)
            if wanted is not None and wanted != running.mode and self.may(wanted):
                running.mode = wanted
