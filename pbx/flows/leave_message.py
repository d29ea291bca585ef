"""Leave a message: the greeting, a beep, and what the caller says."""

from __future__ import annotations

from pbx.decisions import ToMailbox
from pbx.flows.visit import Flow, Visit
from pbx.flows.voicemail import Spoken, mailbox_of, play_message, record_message, speak_language
from pbx.objects.people import Mailbox
from pbx.voicemail.mailboxes import Mailboxes
from voipat import Rejected, reasons

SKIP = "#"
TRIES = 3


def leave_message(boxes: Mailboxes) -> Flow:
    """The flow of `ToMailbox`."""

    async def run(visit: Visit, target: ToMailbox) -> None:
        """Raises: CallOutcome."""
        box, call, number = mailbox_of(visit, target.number), visit.call, target.number
        if box is None:
            raise Rejected(reasons.NO_MAILBOX)
        speak_language(visit, number, box)
        await call.answer()
        if boxes.is_full(call.tenant, number, box.max_messages):
            await _refuse(visit, target, box)
            return
        await _greet(visit, boxes, target)
        caller, name = _caller_of(visit), call.display_name or ""
        for _ in range(TRIES):
            spoken = await record_message(
                *(call, boxes, number),
                most_s=box.max_message_s,
                caller=caller,
                name=name,
                max_messages=box.max_messages,
            )
            if spoken is Spoken.NO_ROOM:
                await _refuse(visit, target, box)
                return
            if spoken is not Spoken.TOO_SHORT:
                await call.say("vm/recorded" if spoken is Spoken.KEPT else "vm/not-saved")
                return
            await call.say("vm/too-short")

    return run


async def _refuse(visit: Visit, target: ToMailbox, box: Mailbox) -> None:
    visit.call.note("mailbox %s is full: %d messages", target.number, box.max_messages)
    await visit.call.say("vm/full")


async def _greet(visit: Visit, boxes: Mailboxes, target: ToMailbox) -> None:
    call = visit.call
    own = boxes.greeting(call.tenant, target.number)
    if own is not None:
        await play_message(call, boxes, own, stop_digits=SKIP)
        return
    await call.say("vm/busy" if target.cause == "busy" else "vm/greeting", "vm/leave", stop_digits=SKIP)


def _caller_of(visit: Visit) -> str:
    """The number of who calls, "" for one who hides."""
    return visit.caller or "".join(each for each in visit.call.caller if each in "0123456789+")
