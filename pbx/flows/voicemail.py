"""What the flows of voicemail share: the mailbox of a call, its language, and sealed sound that is played."""

from __future__ import annotations

from enum import Enum

from pbx.flows.visit import Visit
from pbx.objects.people import Mailbox
from pbx.store.base import MessageRecord
from pbx.voicemail.mailboxes import Mailboxes
from voipat import Call, CallRecording, MediaError, Tone

BEEP = Tone(1000.0, 0.3)


class Spoken(Enum):
    """What came of a message."""

    KEPT = "kept"
    TOO_SHORT = "too short"
    # The disk took nothing of it.
    LOST = "lost"
    # Others have filled the mailbox meanwhile.
    NO_ROOM = "no room"


def mailbox_of(visit: Visit, number: str) -> Mailbox | None:
    """The mailbox of an extension, when it has one that is in use."""
    extension = visit.tenant.extensions.get(number)
    box = None if extension is None else extension.mailbox
    return box if box is not None and box.enabled else None


def speak_language(visit: Visit, number: str, box: Mailbox) -> None:
    """Let the call's prompts be in the language of the mailbox, of its extension or of the tenant."""
    visit.speak(visit.call, box.language or visit.language_of(number))


async def play_message(call: Call, boxes: Mailboxes, message: MessageRecord, *, stop_digits: str = "") -> str:
    """Say what was recorded; the digit that stopped it, or "". Raises: HungUp; nothing for one that is damaged."""
    try:
        rate, pieces = await boxes.sound(call.tenant, message)
        return await call.speak(pieces, rate=rate, stop_digits=stop_digits)
    except MediaError as error:
        call.note("message %s cannot be played: %s", message.id, error)
        return ""


async def record_message(
    call: Call,
    boxes: Mailboxes,
    mailbox: str,
    *,
    most_s: float,
    caller: str = "",
    name: str = "",
    greeting: bool = False,
    max_messages: int | None = None,
) -> Spoken:
    """Beep, and record until #, silence, the limit or a hang-up; nothing in a mailbox that has `max_messages`.

    Raises: HungUp; what was said until then is kept.
    """
    await call.play(BEEP)
    # Nothing is awaited between this and the row: of several callers the last place is one's.
    if max_messages is not None and boxes.is_full(call.tenant, mailbox, max_messages):
        return Spoken.NO_ROOM
    draft = boxes.begin(call.tenant, mailbox, caller=caller, name=name, greeting=greeting)
    recording: CallRecording | None = None
    was_kept = has_failed = False
    try:
        async with call.record(draft, stereo=False, stop_digit="#", max_seconds=most_s) as recording:
            loop, stop = call.switch.loop, recording.stop
            draft.on_silence = lambda: loop.call_soon_threadsafe(stop)
            has_failed = (await recording.finished()).reason == "failed"
    finally:
        draft.on_silence = None
        was_kept = boxes.end(call.tenant, draft, 0.0 if recording is None else recording.seconds)
    if was_kept:
        return Spoken.KEPT
    return Spoken.LOST if has_failed else Spoken.TOO_SHORT
