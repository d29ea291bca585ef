"""`voipat capacity`: its arguments, and the order of what it does."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbx.capacity.costs import Costs
    from pbx.capacity.planner import Demand

OK: Final = 0
FAILED: Final = 1
LEAST_S, DEFAULT_S, MOST_S = 20.0, 300.0, 3600.0
# What the check of a mixed load may be off by.
TOLERANCE: Final = 0.15
MOST_USERS: Final = 1_000_000
BAR: Final = 24

SHARES: Final = {
    "busy_hour": ("--busy-hour", "12%", "of the users are in a call in the busy hour, on average"),
    "trunk_share": ("--trunk-share", "60%", "of the calls come from outside or go there"),
    "opus": ("--opus", "0%", "of the calls are Opus on one side and G.711 on the other"),
    "g722": ("--g722", "0%", "of the calls are G.722 on one side and G.711 on the other"),
    "srtp": ("--srtp", "0%", "of the calls are encrypted on both legs"),
    "tls": ("--tls", "0%", "of the phones are connected by TLS"),
    "recorded": ("--recorded", "0%", "of the calls are recorded"),
    "music": ("--music", "5%", "of the calls wait, in a menu or with music"),
    "conference": ("--conference", "2%", "of those in a call are in a conference"),
    "blocking": ("--blocking", "1%", "of the calls may find no channel in the busy hour"),
    "queued": ("--queued", "0%", "of the calls are for the agents of a queue"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All that the command takes."""
    parser.add_argument(
        "--time",
        metavar="SECONDS",
        type=_measuring,
        default=DEFAULT_S,
        help="measure for so long (300); less is less sure",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object: costs, room and needs")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page with plots; it needs no network")
    parser.add_argument("--save", metavar="FILE", type=Path, help="keep what was measured")
    parser.add_argument("--from", metavar="FILE", dest="source", type=Path, help="measure nothing, take what was kept")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="fail when mixed loads take 15%% more or less than the costs foretell; with --from they are run anew",
    )
    parser.add_argument("--users", metavar="N", type=_users, help="people with a phone (300)")
    for name, (option, default, text) in SHARES.items():
        parser.add_argument(
            option, metavar="SHARE", dest=name, type=_share, help=f"{text} ({default})".replace("%", "%%")
        )
    parser.add_argument("--hold", metavar="TIME", type=_time, help="how long a call takes: 180, 3m (180 s)")
    parser.add_argument("--phones", metavar="N", type=_phones, help="phones of a user (1)")
    parser.add_argument("--register-every", metavar="TIME", type=_time, help="how often a phone registers (30m)")
    parser.add_argument(
        "--busy-hours", metavar="N", type=_hours, help="a day has the traffic of so many busy hours (6)"
    )
    parser.add_argument("--days", metavar="N", type=_days, help="recordings are kept for so long (90)")
    parser.add_argument(
        "--service",
        metavar="SHARE/TIME",
        type=_service,
        help="of the queued calls so many are answered within that time (80%%/20s)",
    )
    parser.add_argument("--directory", metavar="DIR", type=_directory, help="the scratch daemon keeps its data there")
    parser.add_argument(
        "--generator-share",
        metavar="SHARE",
        type=_share,
        default=1.0,
        help="hold the load generator back, to see that no figure is given",
    )


def run(options: argparse.Namespace) -> int:
    """The exit status."""
    from pbx.capacity import html, report
    from pbx.capacity.costs import load, save
    from pbx.capacity.planner import needs

    demand = demand_of(options)
    progress = Progress(options.time, sys.stderr)
    costs = load(options.source) if options.source is not None else _measured(options, progress)
    if options.source is not None and options.verify:
        costs = _checked(costs, options, progress)
    progress.end()
    if options.save is not None:
        save(costs, options.save)
    rooms = report.rooms(costs, demand)
    found = needs(demand, costs)
    if options.html is not None:
        html.write(options.html, costs, demand, found, rooms)
    if options.json:
        row = {
            **costs.to_json(),
            "demand": asdict(demand),
            "needs": asdict(found),
            "room": {name: asdict(room) for name, room in rooms.items()},
        }
        print(json.dumps(row))
    else:
        print("\n".join(report.lines(costs, demand, found, rooms)))
    return verdict(costs) if options.verify else OK


def demand_of(options: argparse.Namespace) -> Demand:
    """The defaults with what was given."""
    from pbx.capacity.planner import Demand

    names = {field.name for field in fields(Demand)}
    given = {name: value for name, value in vars(options).items() if name in names and value is not None}
    if options.service is not None:
        given["service_level"], given["service_within"] = options.service
    return Demand(**given)


class Progress:
    """How far it is, by the time that was asked for: a bar on a terminal, else a line for each step."""

    def __init__(self, seconds: float, stream: object) -> None:
        self._seconds, self._begun = seconds, time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """`text` is what is done now."""
        passed = time.monotonic() - self._begun
        share = min(passed / self._seconds, 0.99)
        if self._is_terminal:
            bar = "█" * round(share * BAR) + "░" * (BAR - round(share * BAR))
            print(f"\r\x1b[K{bar} {share:4.0%}  {text}", end="", file=sys.stderr, flush=True)
        else:
            print(f"{passed:5.0f} s  {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leaves the line."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _measured(options: argparse.Namespace, progress: Progress) -> Costs:
    from pbx.capacity.survey import survey

    return survey(options.time, progress, share=options.generator_share, directory=options.directory)


def _checked(costs: Costs, options: argparse.Namespace, progress: Progress) -> Costs:
    from pbx.capacity.survey import check

    return check(costs, options.time, progress, share=options.generator_share, directory=options.directory)


def verdict(costs: Costs) -> int:
    """The exit status by the checks; says on standard error why it is none of success."""
    from pbx.capacity.mixed import MIXES

    if len(costs.checks) < len(MIXES):
        print("voipat: a mixed load was not measured: the generator was its limit", file=sys.stderr)
        return FAILED
    for check in costs.checks:
        if abs(check.error) > TOLERANCE:
            told = f"the costs are off by {check.error:+.0%} for the {check.title}; {TOLERANCE:.0%} is allowed"
            print(f"voipat: {told}", file=sys.stderr)
            return FAILED
    return OK


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: give {what} from {low:g} to {high:g}")
    return value


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text.strip())
    try:
        value = float(match[1]) / 100 if match else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give 12% or 0.12, from 0% to 100%")
    return value


def _time(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give 180, 180s, 3m or 1h, from 1 s to 24 h")
    return value


def _service(text: str) -> tuple[float, float]:
    level, slash, within = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{text!r} is no service level: give 80%/20s")
    share = _share(level)
    if share >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: less than 100% of the calls, such as 99%/20s")
    return share, _time(within)


def _users(text: str) -> int:
    return int(_number(text, 1, MOST_USERS, "a number of people"))


def _phones(text: str) -> float:
    return _number(text, 0.1, 100, "phones of one user")


def _hours(text: str) -> float:
    return _number(text, 0.1, 24, "hours")


def _days(text: str) -> int:
    return int(_number(text, 0, 36_500, "days"))


def _measuring(text: str) -> float:
    return _number(text, LEAST_S, MOST_S, "seconds")


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no directory")
    return path
