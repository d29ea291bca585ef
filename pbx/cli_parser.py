"""What can be said to the `voipat` command; docs/reference/cli.md is made from it."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pbx import cdr_export, recording_cli, voicemail_cli, waiting_cli
from pbx.basics import DISPOSITIONS
from pbx.capacity import command as capacity_command

DEFAULT_CDR_ROWS: Final = 100
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
EPILOG: Final = "exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 no daemon runs or no such call"


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.exit(message=f"voipat {version_number()}\n")


def build_parser() -> argparse.ArgumentParser:
    """The argument parser; docs/reference/cli.md is made from it."""
    parser = argparse.ArgumentParser(
        prog="voipat", description="SIP/RTP media server and multi-tenant PBX.", epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_daemon_commands(commands)
    _add_listings(commands)
    _add_verbs(commands)
    _add_questions(commands)
    _add_route(commands)
    _add_objects(commands)
    voicemail = _asking(commands, "voicemail", "the messages of mailboxes: list, show, export, delete")
    voicemail_cli.add_arguments(voicemail)
    waiting_cli.add_arguments(
        _asking(commands, "messages", "the text messages that wait for who is away: list, delete")
    )
    _add_recordings(commands)
    capacity = _command(commands, "capacity", "measure this machine: how many calls, what an office needs")
    capacity_command.add_arguments(capacity)
    return parser


def moment(text: str, now: datetime) -> float:
    """Wallclock seconds of a time given as `2026-11-24`, `2026-11-24 20:30`, RFC 3339, or an age as `90m`, `2h`, `7d`.

    Raises: ValueError.
    """
    if match := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return (now - timedelta(seconds=int(match[1]) * SECONDS[match[2]])).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()  # without a zone: the operator's
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: give 2026-11-24, '2026-11-24 20:30', or an age such as 2h or 7d"
        ) from None


def _add_daemon_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = _command(commands, "serve", "run the daemon in the foreground")
    serve.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration")
    _add_settings(serve)
    check = _command(commands, "check", "check a configuration; faults as file:line: key: reason")
    check.add_argument("file", metavar="FILE", type=Path, help="the configuration")
    _add_settings(check)
    _command(commands, "version", "print the version")


def _add_listings(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    registrations = _asking(commands, "registrations", "the phones that are registered")
    calls = _asking(commands, "calls", "the calls that are up")
    trunks = _asking(commands, "trunks", "the trunks, and whether calls can go there")
    services = _add_services(commands)
    cdr = _asking(commands, "cdr", "the calls that ended, newest first")
    cdr.add_argument("--legs", action="store_true", help="one row per leg instead of one per call")
    cdr.add_argument("--since", metavar="TIME", type=_moment, help="2026-11-24, '2026-11-24 20:30', or an age: 2h, 7d")
    cdr.add_argument("--until", metavar="TIME", type=_moment, help="as --since")
    cdr.add_argument("--caller", metavar="NUMBER", help="only calls from this number")
    cdr.add_argument("--callee", metavar="NUMBER", help="only calls to this number")
    cdr.add_argument("--disposition", choices=DISPOSITIONS, help="only calls that ended so")
    cdr.add_argument("--limit", metavar="N", type=_positive, help="at most so many (100; all with --format)")
    cdr.add_argument("--format", choices=cdr_export.FORMATS, help="for other programs: all columns, flat")
    cdr.add_argument("--output", metavar="FILE", type=Path, help="write --format to a file (Parquet needs one)")
    for listing in (registrations, calls, trunks, cdr, *services):
        listing.add_argument("--tenant", metavar="DOMAIN", help="only this tenant")


def _add_services(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    conferences = _asking(commands, "conferences", "the rooms that are open, or who is in one")
    queues = _asking(commands, "queues", "the queues, or the callers and agents of one")
    parked = _asking(commands, "parked", "the calls that wait in a park")
    conferences.add_argument("number", metavar="ROOM", nargs="?", help="as the list has it")
    queues.add_argument("number", metavar="QUEUE", nargs="?", help="its number")
    parked.set_defaults(number=None)
    desks = _asking(commands, "desks", "who has logged in at which shared phone")
    desks.add_argument("--log-out", metavar="DESK", help="log out who sits there: office.test/1010")
    return [conferences, queues, parked, desks]


def _add_verbs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _asking(commands, "stats", "what the daemon counts, as one object")
    bans = _asking(commands, "bans", "the sources that get no answer for now: too many wrong passwords")
    bans.add_argument("--lift", metavar="SOURCE", help="end the bans of this address")
    reload = _asking(commands, "reload", "read the configuration again; a bad one changes nothing")
    reload.add_argument("--check", action="store_true", help="only say what would change")
    drain = _asking(commands, "drain", "take no new calls, end when the last one has (as SIGTERM)")
    drain.add_argument("--wait", action="store_true", help="return when the daemon has ended")
    call = _asking(commands, "call", "ring an extension, and lead it on to a number as if it had dialled that")
    call.add_argument("caller", metavar="A", help="the extension that rings first")
    call.add_argument("target", metavar="B", help="as A would dial it")
    call.add_argument("--tenant", metavar="DOMAIN", help="without: the default tenant")
    call.add_argument("--timeout", metavar="SECONDS", type=_positive, default=30, help="how long A may ring (30)")
    hangup = _asking(commands, "hangup", "end a call")
    hangup.add_argument("id", metavar="ID", help="as `voipat calls` shows it")


def _add_questions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trace = _asking(commands, "trace", "what was said and decided in a call, or which calls are kept")
    trace.add_argument(
        "call", metavar="CALL", nargs="?", help="id from `voipat calls` or `cdr`, or a Call-ID; without: the list"
    )
    trace.add_argument("--messages", action="store_true", help="whole messages, secrets masked")
    trace.add_argument("--pcap", metavar="FILE", type=Path, help="write the messages as pcapng, for Wireshark")
    kept = trace.add_mutually_exclusive_group()
    kept.add_argument("--last", action="store_true", help="list the calls that are kept, newest first")
    kept.add_argument("--failed", action="store_true", help="list only calls that failed or were refused")
    trace.add_argument("--tenant", metavar="DOMAIN", help="list only this tenant")
    trace.add_argument("--limit", metavar="N", type=_positive, default=DEFAULT_CDR_ROWS, help="at most so many (100)")
    explain = _command(commands, "explain", "what a rejection's id means and what to do")
    explain.add_argument("id", metavar="ID", help="as VP-3002, from a phone, `voipat cdr`, `trace` or the log")
    explain.add_argument("--json", action="store_true", help="one JSON object")


def _add_route(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    route = _asking(commands, "route", "what would happen to a call: every rule that is tried, and why")
    route.add_argument("number", metavar="NUMBER", help="as it would be dialled")
    route.add_argument(
        "--from",
        metavar="WHO",
        dest="caller",
        required=True,
        help="an extension, or trunk:NAME: it comes in",
    )
    route.add_argument("--caller-number", metavar="NUMBER", help="with trunk:NAME: who calls; without: anonymous")
    route.add_argument("--at", metavar="TIME", help="such as 2026-12-25T10:00, in the tenant's zone; without: now")
    route.add_argument("--tenant", metavar="DOMAIN", help="without: the default tenant")


def _add_objects(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listed = _asking(commands, "list", "the objects of a kind: extension, menu, ring_group, route, …")
    listed.add_argument("kind", metavar="KIND", help="an unknown one is answered with all that there are")
    shown = _asking(commands, "show", "one object with all its keys, secrets left out")
    shown.add_argument(
        "object", metavar="OBJECT", help="as `voipat list` names it: office.test/1001, office.test/menu/500"
    )
    changed = _asking(commands, "set", "change a key of an object, or what a phone sets by a code")
    changed.add_argument("object", metavar="OBJECT", help="as for show")
    changed.add_argument("setting", metavar="KEY=VALUE", help="dnd=on, forward.busy=1002, ring_s=20; KEY alone: unset")
    applied = _asking(commands, "apply", "make the tenants those of a file; prints what changes")
    applied.add_argument("file", metavar="FILE", type=Path, help="a configuration; its [server] is not looked at")
    applied.add_argument("--check", action="store_true", help="only say what would change")
    exported = _asking(commands, "export", "the tenants as a file for apply; it has secrets in it")
    for one in (listed, exported):
        one.add_argument("--tenant", metavar="DOMAIN", help="only this tenant")


def _add_recordings(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    recordings = _asking(commands, "recordings", "the recorded calls: list, show, export, delete")
    audit = _asking(commands, "audit", "who heard, took out or deleted what, newest first")
    recording_cli.add_arguments(recordings, audit, _moment)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EPILOG, allow_abbrev=False
    )
    parser.set_defaults(name=name)
    return parser


def _asking(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    """A command that talks to the daemon of a data directory."""
    parser = _command(commands, name, text)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--data", metavar="DIR", type=Path, help="the daemon's data directory")
    place.add_argument("--config", metavar="FILE", type=Path, help="take server.data from this configuration")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="override a key of the file; may be given again",
    )


def _moment(text: str) -> float:
    try:
        return moment(text, datetime.now(UTC))  # noqa: TID251  the operator's clock: an age is counted from it
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no count")
    return int(text)


def version_number() -> str:
    """The version of this package."""
    from voipat._version import __version__  # `voipat` brings SIP and media with it, which a table does without

    return __version__
