"""What routing decides: where a call goes, and every rule that was tried on the way there."""

from __future__ import annotations

from typing import Final

from pbx.objects.groups import Announcement, Conference, Menu, Page, Park, Program, Queue, RingGroup
from pbx.objects.times import Times
from pbx.tenants import ExtensionConfig
from sipcore.values import value_object
from voipat.reasons import Reason


@value_object(frozen=True, slots=True)
class FromExtension:
    """The call is a phone's of the tenant."""

    number: str


@value_object(frozen=True, slots=True)
class FromTrunk:
    """The call came in by a trunk; `number` is the caller's, "" when it hides."""

    trunk: str
    number: str = ""


@value_object(frozen=True, slots=True)
class FromMenu:
    """Digits of a caller in a menu, who may dial extensions only."""

    menu: str


@value_object(frozen=True, slots=True)
class OnBehalf:
    """The plan itself sends the call on: a forward of an extension ("" is the tenant's own: a menu, a group, a DID).

    What the extension may call, its forwards may.
    """

    number: str = ""
    hops: int = 1


Source = FromExtension | FromTrunk | FromMenu | OnBehalf


@value_object(frozen=True, slots=True)
class ToExtension:
    """Ring the phones of an extension."""

    extension: ExtensionConfig


@value_object(frozen=True, slots=True)
class ToEcho:
    """The echo test."""


@value_object(frozen=True, slots=True)
class ToGroup:
    """A ring group."""

    group: RingGroup


@value_object(frozen=True, slots=True)
class ToMenu:
    """A menu."""

    menu: Menu


@value_object(frozen=True, slots=True)
class ToQueue:
    """A queue."""

    queue: Queue


@value_object(frozen=True, slots=True)
class ToConference:
    """A conference room."""

    conference: Conference


@value_object(frozen=True, slots=True)
class ToAnnouncement:
    """A prompt."""

    announcement: Announcement


@value_object(frozen=True, slots=True)
class ToProgram:
    """A Python function of the user."""

    program: Program


@value_object(frozen=True, slots=True)
class ToMailbox:
    """Leave a message for an extension."""

    number: str
    cause: str = ""


@value_object(frozen=True, slots=True)
class ToVoicemail:
    """Hear one's messages; without a number the mailbox is asked for."""

    number: str = ""


@value_object(frozen=True, slots=True)
class ToPark:
    """Park the call."""

    park: Park


@value_object(frozen=True, slots=True)
class ToParkSlot:
    """Take a parked call back."""

    park: Park
    slot: str


@value_object(frozen=True, slots=True)
class ToPage:
    """Speak to the phones of a page."""

    page: Page


@value_object(frozen=True, slots=True)
class ToIntercom:
    """Talk with an extension whose phone answers by itself."""

    extension: ExtensionConfig


@value_object(frozen=True, slots=True)
class ToMonitor:
    """Hear the conversation of an extension."""

    extension: ExtensionConfig


@value_object(frozen=True, slots=True)
class ToPickup:
    """Take a call that rings elsewhere: at `number`, or anywhere in the caller's group."""

    number: str = ""


@value_object(frozen=True, slots=True)
class ToFeature:
    """Set something of the caller's extension: a feature code with its argument."""

    feature: str
    argument: str = ""


@value_object(frozen=True, slots=True)
class ToDeskLogin:
    """Log in at the caller's phone; without a number the extension is asked for."""

    number: str = ""


@value_object(frozen=True, slots=True)
class ToDeskLogout:
    """Log out of the caller's phone."""


@value_object(frozen=True, slots=True)
class ToOverride:
    """Turn open hours over by hand."""

    times: Times


@value_object(frozen=True, slots=True)
class ToTrunks:
    """Out by the first of these trunks that takes it.

    `ordered`: they stand as they are to be tried; otherwise their own priorities and weights say that.
    """

    number: str
    trunks: tuple[str, ...]
    caller_id: str = ""
    emergency: bool = False
    payer: str = ""  # the extension whose limits it counts against; "" is the tenant alone
    ordered: bool = False


@value_object(frozen=True, slots=True)
class HangUp:
    """The plan ends the call here."""


@value_object(frozen=True, slots=True)
class NoRoute:
    """Nowhere, and why."""

    reason: Reason


Target = (
    ToExtension
    | ToEcho
    | ToGroup
    | ToMenu
    | ToQueue
    | ToConference
    | ToAnnouncement
    | ToProgram
    | ToMailbox
    | ToVoicemail
    | ToPark
    | ToParkSlot
    | ToPage
    | ToIntercom
    | ToMonitor
    | ToPickup
    | ToFeature
    | ToDeskLogin
    | ToDeskLogout
    | ToOverride
    | ToTrunks
    | HangUp
    | NoRoute
)


@value_object(frozen=True, slots=True)
class Step:
    """One rule that was tried: whether it took the number, and why or why not."""

    rule: str
    took: bool
    why: str


@value_object(frozen=True, slots=True)
class Decision:
    """Where the call goes, and the rules in the order in which they were tried."""

    target: Target
    steps: tuple[Step, ...] = ()
    marked: bool = False  # the caller shows a number of ours and came from outside
    queue_priority: int = 0  # by the number that was called


_NUMBERED: Final = {
    ToGroup: "ring group",
    ToMenu: "menu",
    ToQueue: "queue",
    ToConference: "conference",
    ToAnnouncement: "announcement",
    ToProgram: "program",
    ToPark: "park",
    ToPage: "page",
    ToIntercom: "intercom of",
    ToMonitor: "conversation of",
    ToExtension: "extension",
}


def describe(target: Target) -> str:
    """The target as one line for people and tests; nothing of it is secret."""
    if (name := _NUMBERED.get(type(target))) is not None:
        (one,) = (getattr(target, key) for key in target.__dataclass_fields__)
        return f"{name} {one.number}"
    match target:
        case ToParkSlot(_, slot):
            return f"park slot {slot}"
        case ToTrunks(number, trunks):
            return f"{number} by {', '.join(trunks)}" + (" (emergency)" if target.emergency else "")
        case NoRoute(reason):
            return f"nowhere: {reason.id} {reason.text}"
    return _of_people(target)


def _of_people(target: Target) -> str:
    match target:
        case ToMailbox(number):
            return f"mailbox of {number}"
        case ToVoicemail(number):
            return f"messages of {number}" if number else "messages of the mailbox that is asked for"
        case ToPickup(number):
            return f"pickup of {number}" if number else "pickup in the group"
        case ToFeature(feature, argument):
            return f"feature {feature} {argument}".rstrip()
        case ToDeskLogin(number):
            return f"log in as {number}" if number else "log in as who is asked for"
        case ToDeskLogout():
            return "log out of the desk"
        case ToOverride(times):
            return f"override of {times.name}"
    return "hang up" if isinstance(target, HangUp) else "echo test"
