"""The contract of examples/office.toml, line by line: who dials what and presses which keys, what the others do.

Each scenario is played twice: by baresip phones at the real daemon (tests/interop) and by simulated ones (tests/sim);
what it must sound like is written here, and the ladder of the real daemon is kept in `ladders/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

CARRIER: Final = "carrier"
CARRIER_NUMBERS: Final = ("+12025550123", "112", "911")
# Who calls from the address of the carrier, by another port.
STRANGER: Final = "stranger"


@dataclass(frozen=True)
class Dials:
    """A call that a phone makes. `keys` are pressed so many seconds after the step before, beginning with the answer.

    It hangs up `stays` seconds after the last one; None: the other side ends it. `hears` are names of prompts,
    "tone:440" of a tone, "phone:1003" of what a phone says, in this order.
    """

    user: str
    number: str
    at: float = 0.0
    keys: tuple[tuple[float, str], ...] = ()
    stays: float | None = None
    hears: tuple[str, ...] = ()


@dataclass(frozen=True)
class Acts:
    """What a called phone does, `after` seconds of ringing; `then` is a number it transfers to 1.5 s later.

    It presses `keys` as a caller does, and hangs up `stays` seconds after that; None: the other side ends it. `gets`
    are the digits that it is told. A silent one is there and says nothing, to no request.
    """

    user: str
    does: Literal["answers", "rings", "refuses", "absent", "silent"]
    after: float = 1.0
    then: str = ""
    keys: tuple[tuple[float, str], ...] = ()
    stays: float | None = None
    gets: str = ""


@dataclass(frozen=True)
class Taped:
    """A recording: of whom, by which rule, and what its two channels have, that he said and that he was told."""

    owner: str
    rule: str
    said: str
    told: str

    @property
    def users(self) -> set[str]:
        """Caller and callee."""
        return {each.removeprefix("phone:") for each in (self.said, self.told)}


@dataclass(frozen=True)
class Scenario:
    """`after` are those that must have been played at the same office before; `hours` is how its times stand."""

    name: str
    dials: tuple[Dials, ...]
    acts: tuple[Acts, ...] = ()
    after: tuple[str, ...] = ()
    hours: Literal["open", "closed", ""] = ""
    kept_in: str = ""  # the mailbox that has a message afterwards
    needs_free: tuple[str, ...] = ()
    taped: Taped | None = None

    @property
    def users(self) -> frozenset[str]:
        """The phones that take part."""
        return frozenset([*(each.user for each in self.dials), *(each.user for each in self.acts), *self.needs_free])

    @property
    def seconds(self) -> float:
        """About how long it takes: the long ones are begun first."""
        waits = [delay for each in self.dials for delay, key in each.keys]
        in_vain = bool(waits and self.acts) and all(each.does == "rings" for each in self.acts)
        rings = 25.0 if in_vain else 0.0
        by_dialler = max(each.at + sum(delay for delay, _ in each.keys) + (each.stays or 3.0) for each in self.dials)
        by_callee = sum(sum(delay for delay, _ in each.keys) + (each.stays or 0.0) for each in self.acts)
        return rings + by_dialler + by_callee


def one(
    name: str,
    dials: Dials,
    *acts: Acts,
    after: tuple[str, ...] = (),
    kept_in: str = "",
    taped: Taped | None = None,
) -> Scenario:
    """A scenario of one call."""
    return Scenario(name, (dials,), acts, after, kept_in=kept_in, taped=taped)


ASKS: Final = "tone:440"  # the menu's prompt, which the example leaves to its tone
MESSAGE: Final = ((1.5, "#"), (2.5, "#"))  # skips the greeting, speaks, ends

MENU: Final = (
    one(
        "menu key 1 leads to the group",
        Dials("1006", "500", keys=((1.0, "1"),), stays=5.0, hears=(ASKS, "phone:1003")),
        *(Acts("1001", "rings"), Acts("1002", "rings"), Acts("1003", "answers")),
    ),
    one(
        "menu key 2 leads to 1002",
        Dials("1006", "500", keys=((1.0, "2"),), stays=3.5, hears=(ASKS, "phone:1002")),
        Acts("1002", "answers"),
    ),
    one(
        "menu key 3 leads to the mailbox of 1003",
        Dials("1007", "500", keys=((1.0, "3"), *MESSAGE), hears=(ASKS, "vm/greeting", "tone:1000", "vm/recorded")),
        kept_in="1003",
    ),
    one(
        "menu key 9 leads to the echo", Dials("1008", "500", keys=((1.0, "9"),), stays=2.0, hears=(ASKS, "phone:1008"))
    ),
    one(
        "menu wrong three times leads to 1001",
        Dials("1007", "500", keys=((1.0, "7"), (1.8, "7"), (1.8, "7")), stays=4.5, hears=(ASKS, ASKS, "phone:1001")),
        Acts("1001", "answers"),
    ),
    one(
        "menu takes the digits of an extension",
        Dials("1007", "500", keys=((1.0, "1010"),), stays=3.5, hears=(ASKS, "phone:1010")),
        Acts("1010", "answers"),
    ),
    one(
        "menu leads to no code",
        Dials("1006", "500", keys=((1.0, "*8"), (2.5, "7")), stays=4.5, hears=(ASKS, "phone:1001")),
        Acts("1001", "answers"),
    ),
    one(
        "menu leads to no trunk, not even 112",
        Dials("1009", "500", keys=((1.0, "112"),), stays=4.5, hears=(ASKS, "phone:1002")),
        Acts("1002", "answers"),
    ),
)

GROUPS: Final = (
    one(
        "group rings 20 s and goes to the mailbox of 1001",
        Dials("1010", "600", keys=MESSAGE, hears=("vm/greeting", "tone:1000", "vm/recorded")),
        *(Acts("1001", "rings"), Acts("1002", "rings"), Acts("1003", "rings")),
        kept_in="1001",
    ),
    one(
        "queue leads to an agent",
        Dials("1006", "610", stays=7.0, hears=("queue/next", "music", "phone:1004")),
        Acts("1004", "answers", after=4.5),
        after=("unreachable leads to the mailbox",),
    ),
    Scenario(
        "queue says its position",
        (
            Dials("1006", "610", stays=10.0, hears=("queue/next",)),
            Dials("1007", "610", at=1.5, stays=3.5, hears=("queue/position",)),
        ),
        (Acts("1004", "rings"), Acts("1005", "rings")),
        after=("queue leads to an agent", "unreachable without a mailbox is 480"),
    ),
    one(
        "queue leads to its other agent, whose calls are recorded",
        Dials("1006", "610", stays=8.0, hears=("queue/next", "music", "record-notice", "phone:1005")),
        Acts("1004", "rings"),
        Acts("1005", "answers", after=4.5),
        after=("queue leads to an agent", "whom 1005 calls is recorded after an announcement"),
    ),
    Scenario(
        "conference 700 is open",
        (
            Dials("1008", "700", stays=5.5, hears=("conference/joined", "phone:1009")),
            Dials("1009", "700", at=1.0, stays=3.0, hears=("conference/joined", "phone:1008")),
        ),
    ),
    one(
        "conference 701 asks for its PIN",
        Dials(
            *("1009", "701"),
            keys=((1.5, "1111#"), (3.5, "1234#")),
            stays=2.5,
            hears=("conference/enter-pin", "wrong-pin", "conference/enter-pin", "conference/joined"),
        ),
    ),
    one(
        "conference 701 has a moderator, who locks it",
        Dials(
            *("1010", "701"),
            keys=((1.5, "9999#"), (3.0, "9")),
            stays=2.5,
            hears=("conference/enter-pin", "conference/joined", "conference/locked"),
        ),
        after=("conference 701 asks for its PIN",),
    ),
    Scenario(
        "a call is parked and taken back at its slot",
        (
            Dials("1010", "1008", stays=11.5, hears=("phone:1008",)),
            Dials("1009", "801", at=8.0, stays=2.0, hears=("phone:1010",)),
        ),
        (Acts("1008", "answers", then="800"),),
    ),
    Scenario(
        "pickup in the group",
        (
            Dials("1006", "1002", stays=3.0, hears=("phone:1003",)),
            Dials("1003", "*8", at=1.5, hears=("phone:1006",)),
        ),
        (Acts("1002", "rings"),),
        after=("unreachable leads to the mailbox",),
        needs_free=("1001", "1004"),
    ),
    Scenario(
        "pickup of a number",
        (
            Dials("1007", "1002", stays=3.0, hears=("phone:1003",)),
            Dials("1003", "**1002", at=1.5, hears=("phone:1007",)),
        ),
        (Acts("1002", "rings"),),
    ),
)

MAILBOXES: Final = (
    one(
        "unreachable leads to the mailbox",
        Dials("1008", "1004", keys=MESSAGE, hears=("vm/greeting", "tone:1000", "vm/recorded")),
        Acts("1004", "absent"),
        kept_in="1004",
    ),
    one(
        "busy leads to the mailbox",
        Dials("1008", "1002", keys=MESSAGE, hears=("vm/busy", "tone:1000", "vm/recorded")),
        Acts("1002", "refuses"),
        kept_in="1002",
    ),
    one(
        "no answer leads to the mailbox",
        Dials("1009", "1004", keys=MESSAGE, hears=("vm/greeting", "tone:1000", "vm/recorded")),
        Acts("1004", "rings"),
        after=("unreachable leads to the mailbox",),
        kept_in="1004",
    ),
    one("busy without a mailbox is 486", Dials("1007", "1008"), Acts("1008", "refuses")),
    one("no answer without a mailbox is 480", Dials("1007", "1009"), Acts("1009", "rings")),
    one("unreachable without a mailbox is 480", Dials("1010", "1005"), Acts("1005", "absent")),
    one(
        "own mailbox with its PIN, then 1 plays the first message",
        Dials(
            *("1002", "*97"),
            keys=((1.5, "2468#"), (3.0, "1")),
            stays=4.0,
            hears=("vm/enter-pin", "vm/new-message", "phone:1008"),
        ),
        after=("busy leads to the mailbox",),
    ),
    one(
        "any mailbox that is asked for",
        Dials(
            *("1010", "*98"),
            keys=((1.5, "1003"), (2.0, "2468#"), (3.0, "1")),
            stays=4.0,
            hears=("vm/enter-mailbox", "vm/enter-pin", "vm/new-message", "phone:1007"),
        ),
        after=("menu key 3 leads to the mailbox of 1003",),
    ),
)

DONE: Final = "tone:880"

CODES: Final = (
    one("echo", Dials("1007", "*43", stays=2.0, hears=("phone:1007",))),
    one("forward on", Dials("1006", "*721007", hears=(DONE,))),
    one(
        "who is forwarded is reached there",
        Dials("1008", "1006", stays=2.0, hears=("phone:1007",)),
        *(Acts("1006", "absent"), Acts("1007", "answers")),
        after=("forward on",),
    ),
    one("forward off", Dials("1006", "*73", hears=(DONE,)), after=("who is forwarded is reached there",)),
    one(
        "who is not forwarded any more is reached",
        Dials("1008", "1006", stays=2.0, hears=("phone:1006",)),
        Acts("1006", "answers"),
        after=("forward off",),
    ),
    one("do not disturb on", Dials("1006", "*78", hears=(DONE,)), after=("who is not forwarded any more is reached",)),
    one(
        "who does not want to be disturbed is busy",
        Dials("1008", "1006"),
        Acts("1006", "absent"),
        after=("do not disturb on",),
    ),
    one(
        "do not disturb off", Dials("1006", "*79", hears=(DONE,)), after=("who does not want to be disturbed is busy",)
    ),
    one(
        "who wants calls again is reached",
        Dials("1008", "1006", stays=2.0, hears=("phone:1006",)),
        Acts("1006", "answers"),
        after=("do not disturb off",),
    ),
)

IN_CALL: Final = (
    one(
        "blind transfer by code",
        Dials("1008", "1002", hears=("phone:1002", "phone:1003")),
        Acts("1002", "answers", keys=((1.5, "##"), (2.5, "1003"))),
        Acts("1003", "answers", stays=2.5),
    ),
    one(
        "attended transfer by code",
        Dials("1010", "1001", hears=("phone:1001", "phone:1003")),
        Acts("1001", "answers", keys=((1.5, "*2"), (2.5, "1003")), stays=4.0),
        Acts("1003", "answers", stays=6.5),
    ),
    one(
        "codes of a phone that may not transfer are passed on",
        Dials("1003", "1008", keys=((1.0, "##"),), stays=2.0, hears=("phone:1008",)),
        Acts("1008", "answers", gets="##"),
    ),
    one(
        "digits that are no code are passed on, all of them",
        Dials("1002", "1009", keys=((1.0, "*5"), (1.5, "#"), (1.5, "#")), stays=2.0, hears=("phone:1009",)),
        Acts("1009", "answers", gets="*5##"),
    ),
    one(
        "recording on demand, on and off",
        Dials("1001", "1007", keys=((1.0, "*1"), (6.0, "*1")), stays=3.5, hears=("record-notice", "record-off")),
        Acts("1007", "answers"),
        taped=Taped("1001", "on demand", "phone:1001", "phone:1007"),
    ),
    one(
        "who calls 1005 is recorded after an announcement",
        Dials("1010", "1005", stays=6.0, hears=("record-notice", "phone:1005")),
        Acts("1005", "answers"),
        after=("unreachable without a mailbox is 480",),
        taped=Taped("1005", "1005", "phone:1005", "phone:1010"),
    ),
    one(
        "whom 1005 calls is recorded after an announcement",
        Dials("1005", "1009", stays=6.0, hears=("record-notice", "phone:1009")),
        Acts("1009", "answers"),
        after=("who calls 1005 is recorded after an announcement",),
        taped=Taped("1005", "1005", "phone:1005", "phone:1009"),
    ),
)

TRUNK: Final = (
    one(
        "9 and a number goes out as E.164",
        Dials("1009", "92025550123", stays=2.0, hears=("phone:carrier",)),
        Acts(CARRIER, "answers"),
    ),
    *(
        one(f"{number} goes out", Dials(user, number, stays=1.5, hears=("phone:carrier",)), Acts(CARRIER, "answers"))
        for user, number in (("1009", "112"), ("1007", "911"), ("1006", "9112"), ("1003", "9911"))
    ),
    one(
        "DID +12025550100 leads to the menu",
        Dials(CARRIER, "+12025550100", keys=((1.0, "9"),), stays=2.0, hears=(ASKS, "phone:carrier")),
    ),
    one(
        "DID +12025550101 leads to 1001",
        Dials(CARRIER, "+12025550101", stays=2.0, hears=("phone:1001",)),
        Acts("1001", "answers"),
    ),
    Scenario(
        "DID +12025550102 leads to the menu in office hours",
        (Dials(CARRIER, "+12025550102", keys=((1.0, "9"),), stays=1.5, hears=(ASKS, "phone:carrier")),),
        hours="open",
    ),
    Scenario(
        "DID +12025550102 leads to the mailbox of 1001 otherwise",
        (Dials(CARRIER, "+12025550102", keys=MESSAGE, hears=("vm/greeting", "tone:1000", "vm/recorded")),),
        hours="closed",
        kept_in="1001",
    ),
)

# Of the second tenant, whose phones are named with it. To it the first tenant is not there.
SHOP: Final = "shop.test"
SHOP_ONE: Final = f"1001@{SHOP}"
SECOND_TENANT: Final = (
    one(
        "the second tenant calls its own 1002",
        Dials(SHOP_ONE, "1002", stays=3.0, hears=(f"phone:1002@{SHOP}",)),
        Acts(f"1002@{SHOP}", "answers"),
    ),
    *(
        one(f"{number} is nobody in the second tenant", Dials(SHOP_ONE, number))
        for number in ("1004", "sip:1004@office.test", "500", "*97", "92025550123", "112")
    ),
)

# Where the trunk is asked by calls only (options_s = 0): what it counts is what the calls before have met.
SILENT_TRUNK: Final = (
    Scenario(
        "a silent carrier is out of service after three calls, and the fourth is refused at once",
        tuple(
            Dials(user, "92025550123", at=4.0 * place) for place, user in enumerate(("1006", "1007", "1009", "1010"))
        ),
        (Acts(CARRIER, "silent"),),
    ),
    one("who calls from another port of the carrier must log in", Dials(STRANGER, "+12025550101")),
)

ALL: Final = (*MENU, *GROUPS, *MAILBOXES, *CODES, *IN_CALL, *TRUNK)
BY_NAME: Final = {each.name: each for each in (*ALL, *SECOND_TENANT, *SILENT_TRUNK)}


def user_of(target: str) -> str:
    """The number in "1004", "1004@shop.test" and "sip:1004@shop.test"."""
    return target.removeprefix("sip:").partition("@")[0]


def weight(scenario: Scenario) -> float:
    """Seconds until it and all that waits for it are played."""
    return scenario.seconds + max((weight(each) for each in ALL if scenario.name in each.after), default=0.0)


def chain(scenario: Scenario) -> list[Scenario]:
    """What must be played before it, and itself, in order."""
    found: list[Scenario] = []
    for name in scenario.after:
        found += [each for each in chain(BY_NAME[name]) if each not in found]
    return [*found, scenario]
