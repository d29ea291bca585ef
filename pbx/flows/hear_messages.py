"""Hear one's messages: PIN, main menu, a menu for each message, greetings, another PIN.

Every change is made when its key is pressed, so that a hang-up at any prompt leaves nothing half done.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from pbx.decisions import FromExtension, ToExtension, ToTrunks, ToVoicemail
from pbx.flows.visit import Flow, Visit
from pbx.flows.voicemail import Spoken, mailbox_of, play_message, record_message, speak_language
from pbx.objects.people import Mailbox
from pbx.routing import route
from pbx.store.base import MessageRecord
from pbx.voicemail.mailboxes import GREETING_S, Mailboxes
from pbx.voicemail.pins import LONGEST_PIN, SHORTEST_PIN
from voipat import Call, Clock, Date, Digits, Duration, MediaError, Number, Rejected, reasons
from voipat.speech.prompt_set import Said

TRIES: Final = 3
AFTER_GREETING: Final = {
    Spoken.KEPT: "vm/greeting-saved",
    Spoken.TOO_SHORT: "vm/too-short",
    Spoken.LOST: "vm/not-saved",
}
_KEYS: Final = "1234567*"
_CAN_BE_SAID: Final = frozenset("0123456789+*#")


def hear_messages(boxes: Mailboxes) -> Flow:
    """The flow of `ToVoicemail`."""

    async def run(visit: Visit, target: ToVoicemail) -> None:
        """Raises: CallOutcome."""
        call = visit.call
        number = target.number or await _asked_mailbox(visit)
        box = mailbox_of(visit, number)
        if target.number and box is None:
            raise Rejected(reasons.NO_MAILBOX)
        await call.answer()
        if box is not None and target.number:
            speak_language(visit, number, box)
        if not await _may_enter(visit, boxes, number, box, was_asked=not target.number):
            await call.say("goodbye")
            raise Rejected(reasons.TOO_MANY_PINS)
        if box is not None:
            speak_language(visit, number, box)
        await _Session(visit, boxes, number).run()

    return run


async def _asked_mailbox(visit: Visit) -> str:
    longest = max(map(len, visit.tenant.extensions), default=1)
    return await _ask(visit.call, "vm/enter-mailbox", digits=longest)


async def _may_enter(visit: Visit, boxes: Mailboxes, number: str, box: Mailbox | None, *, was_asked: bool) -> bool:
    """Whether the PIN is right.

    Of those that a caller names when he is asked nobody learns which there are: one that there is not, or that is
    locked, asks for a PIN as any other, in the caller's language.
    """
    call, pins = visit.call, boxes.pins
    for _ in range(TRIES):
        if box is not None and pins.is_locked(call.tenant, number):
            call.note("mailbox %s is locked", number)
            if not was_asked:
                await call.say("vm/locked")
                return False
        given = await _ask(call, "vm/enter-pin", digits=LONGEST_PIN)
        if box is not None and pins.check(call.tenant, number, box.pin, given):
            return True
        call.note("mailbox %s: wrong PIN", number)
        await call.say("vm/wrong-pin")
    return False


async def _ask(call: Call, *said: Said, digits: int = 1) -> str:
    return await call.ask(call.prompts.say(said), digits=digits)


class _Session:
    """One owner at one mailbox."""

    def __init__(self, visit: Visit, boxes: Mailboxes, number: str) -> None:
        self._visit = visit
        self._call = visit.call
        self._tenant = visit.call.tenant
        self._boxes = boxes
        self._number = number

    async def run(self) -> None:
        """The main menu, until * or three times no key."""
        said, missed = [*self._counts(), "vm/main"], 0
        while missed < TRIES:
            key = await _ask(self._call, *said)
            said = ["vm/main"]
            missed = 0 if key else missed + 1
            if key:
                self._visit.pressed()
            match key:
                case "":
                    continue
                case "1":
                    await self._messages()
                case "2":
                    await self._greetings()
                case "3":
                    await self._change_pin()
                case "*":
                    break
                case _:
                    await self._call.say("not-understood")
        await self._call.say("goodbye")

    def _counts(self) -> list[Said]:
        new, old = self._boxes.counts(self._tenant, self._number)
        if not new and not old:
            return ["vm/you-have", "vm/no-messages"]
        said: list[Said] = ["vm/you-have"]
        for count, folder in ((new, "new"), (old, "old")):
            if count:
                said += [Number(count), f"vm/{folder}-message" + ("" if count == 1 else "s")]
        return said

    # Messages

    async def _messages(self) -> None:
        waiting = self._boxes.messages(self._tenant, self._number)
        if not waiting:
            await self._call.say("vm/you-have", "vm/no-messages")
            return
        for message in waiting:
            # Another phone of the owner may have deleted it meanwhile.
            if self._boxes.find(self._tenant, message.id) is not None and not await self._message(message):
                return
        await self._call.say("vm/end-of-messages")

    async def _message(self, message: MessageRecord) -> bool:
        """Play it and do what its owner wants; False: back to the main menu."""
        key = await self._play(message)
        missed = 0
        while missed < TRIES:
            key = key or await _ask(self._call, "vm/menu")
            missed = 0 if key else missed + 1
            if key:
                self._visit.pressed()
                goes_on, key = await self._do(key, message)
                if goes_on is not None:
                    return goes_on
        return False

    async def _play(self, message: MessageRecord) -> str:
        key = await play_message(self._call, self._boxes, message, stop_digits=_KEYS)
        self._boxes.heard(self._tenant, message)
        return key

    async def _do(self, key: str, message: MessageRecord) -> tuple[bool | None, str]:
        """Whether the next message follows (None: still this one), and the key that was pressed meanwhile."""
        call, boxes = self._call, self._boxes
        match key:
            case "1":
                return None, await self._play(message)
            case "2":
                return True, await call.say("vm/saved")
            case "3":
                boxes.delete(self._tenant, message)
                return True, await call.say("vm/deleted")
            case "4":
                await self._forward(message)
            case "5":
                await self._call_back(message)
            case "6":
                return True, ""
            case "7":
                return None, await self._details(message)
            case "*":
                return False, ""
            case _:
                await call.say("not-understood")
        return None, ""

    async def _forward(self, message: MessageRecord) -> None:
        call, boxes = self._call, self._boxes
        longest = max(map(len, self._visit.tenant.extensions), default=1)
        number = await _ask(call, "vm/forward-to", digits=longest)
        box = mailbox_of(self._visit, number)
        if box is None or number == self._number:
            await call.say("invalid-extension")
        elif boxes.is_full(self._tenant, number, box.max_messages):
            await call.say("vm/full")
        else:
            try:
                await boxes.forward(self._tenant, message, number)
            except (MediaError, OSError) as error:
                call.note("message %s cannot be forwarded: %s", message.id, error)
                await call.say("cancelled")
                return
            await call.say("vm/forwarded")

    async def _call_back(self, message: MessageRecord) -> None:
        """Call who left it, as if the owner's phone had dialled the number: by the same rules and limits.

        Who hears his messages from outside, led there by a forward, may call what his extension may.
        """
        visit, call = self._visit, self._call
        source = FromExtension(visit.caller or self._number)
        decision = route(visit.directory, self._tenant, message.caller, visit.at, source, state=visit.state)
        if not message.caller or not isinstance(decision.target, ToExtension | ToTrunks):
            await call.say("vm/cannot-call-back")
            return
        await call.say("vm/calling-back")
        try:
            await visit.go(decision)
        except Rejected as refused:
            if call.outcome is not None:
                raise
            call.note("calling back: %s %s", refused.reason.id, refused.reason.text)
            await call.say("vm/cannot-call-back")

    async def _details(self, message: MessageRecord) -> str:
        zone = ZoneInfo(self._visit.tenant.plan.settings.time_zone)
        received = datetime.fromtimestamp(message.received, zone)
        today = datetime.fromtimestamp(self._call.switch.wallclock(), zone).date()
        said: list[Said] = ["vm/message"]
        if message.caller and set(message.caller) <= _CAN_BE_SAID:
            said += ["vm/from", Digits(message.caller)]
        else:
            said.append("vm/from-unknown")
        said += ["vm/received", Date(received.date(), today), "vm/at", Clock(received.time())]
        said += ["vm/length", Duration(message.seconds)]
        return await self._call.say(*said, stop_digits=_KEYS)

    # Greetings and PIN

    async def _greetings(self) -> None:
        call, boxes = self._call, self._boxes
        match await _ask(call, "vm/greeting-menu"):
            case "1":
                own = boxes.greeting(self._tenant, self._number)
                if own is None:
                    await call.say("vm/greeting", "vm/leave")
                else:
                    await play_message(call, boxes, own, stop_digits="#*")
            case "2":
                await call.say("vm/greeting-record")
                spoken = await record_message(call, boxes, self._number, most_s=GREETING_S, greeting=True)
                await call.say(AFTER_GREETING[spoken])
            case "3":
                boxes.remove_greeting(self._tenant, self._number)
                await call.say("vm/greeting-standard")

    async def _change_pin(self) -> None:
        call = self._call
        first = await _ask(call, "vm/new-pin", digits=LONGEST_PIN)
        if len(first) < SHORTEST_PIN or not first.isdigit():
            await call.say("vm/pin-too-short")
            return
        if await _ask(call, "vm/new-pin-again", digits=LONGEST_PIN) != first:
            await call.say("vm/pin-differs")
            return
        self._boxes.pins.change(self._tenant, self._number, first)
        await call.say("vm/pin-changed")
