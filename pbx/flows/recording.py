"""The recording of one conversation: by a rule from its beginning, by a code on demand, paused by the same code."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from pbx.flows.visit import Desk
from pbx.objects.lines import RecordingRule
from pbx.recording_rules import NOTICE, Recorded
from voipat import Bridge, Call, CallRecording, CodecMissingError

ON: Final = "record-on"
OFF: Final = "record-off"
CONSENT: Final = "record-consent"
AGREES: Final = "1"
CONSENT_S: Final = 8.0
ON_DEMAND: Final = RecordingRule("on demand", announcement=NOTICE)


class Tape:
    """Beside one bridge; ends with it."""

    def __init__(self, desk: Desk, bridge: Bridge, language: str) -> None:
        self._desk = desk
        self._bridge = bridge
        self._language = language
        self._running = AsyncExitStack()
        self._recording: CallRecording | None = None
        self._is_paused = False
        self._rule: RecordingRule | None = None

    async def close(self) -> None:
        """End what runs."""
        self._recording = None
        await self._running.aclose()

    async def begin(self, found: Recorded) -> None:
        """Say that it is recorded, or ask, and only then record. Raises: HungUp."""
        rule, desk, leg = found.rule, self._desk.recordings, found.leg
        if desk is None:
            return
        if rule.consent:
            if not await self._agreed(self._bridge.other(leg)):
                leg.note("nobody agreed to be recorded")
                return
        elif rule.announcement:
            await self._say(rule.announcement)
        draft = desk.begin(
            leg.tenant,
            linked_id=leg.linked_id,
            leg=leg.id,
            owner=found.owner,
            rule=rule.name,
            caller=self._bridge.a_leg.caller,
            callee=self._bridge.b_leg.callee,
        )
        try:
            self._recording = await self._running.enter_async_context(leg.record(draft))
        except BaseException as error:
            # The call has ended, or speaks what is passed on only.
            desk.forget(leg.tenant, draft)
            if not isinstance(error, CodecMissingError):
                raise
            leg.note("not recorded: %s", error)
            return
        self._rule, self._is_paused = rule, False
        leg.note("recorded by %s", rule.name)

    async def pressed(self, by: Call, number: str) -> None:
        """The code: begin, end what was begun so, or pause and resume what a rule records. Raises: HungUp."""
        if self._recording is None or self._rule is None:
            await self.begin(Recorded(by, number, ON_DEMAND))
        elif self._rule is ON_DEMAND:
            await self.close()
            self._running = AsyncExitStack()
            await self._say(OFF)
        elif self._rule.pause:
            self._is_paused = not self._is_paused
            if self._is_paused:
                self._recording.pause()
                await self._say(OFF)
            else:
                await self._say(ON)
                self._recording.resume()

    async def _say(self, name: str) -> None:
        await self._bridge.announce(self._desk.prompts.find(name, self._language))

    async def _agreed(self, party: Call) -> bool:
        async with self._bridge.apart(party):
            prompt = self._desk.prompts.find(CONSENT, self._language)
            return await party.ask(prompt, digits=1, timeout=CONSENT_S) == AGREES
