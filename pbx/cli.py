"""The `voipat` command: runs the daemon, asks a running one, reads the store of one that is down.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 nothing there (no daemon, no such call).
`--json` prints one object a line. No traceback reaches a user: a bug is one line with a trace id.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from pbx import cdr_export, control, output, recording_cli, voicemail_cli, waiting_cli
from pbx.basics import data_directory
from pbx.capacity import command as capacity_command
from pbx.cli_parser import DEFAULT_CDR_ROWS, build_parser, version_number
from pbx.control import ControlError, NotRunningError
from pbx.errors import ConfigError, DataDirectoryError, PbxError
from pbx.logs import trace_of, where_of
from pbx.output import Row

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_THERE: Final = 3

# Columns of the tables; `--json` prints every field.
REGISTRATION_COLUMNS: Final = (
    *("tenant", "aor", "contact", "received", "transport", "vendor", "model", "firmware", "expires_s", "reachable"),
)
CALL_COLUMNS: Final = ("id", "tenant", "caller", "callee", "state", "started", "answered", "codec", "crypto")
CDR_COLUMNS: Final = (
    *("started", "tenant", "caller", "callee", "disposition", "duration_s"),
    *("billable_s", "hangup_by", "cause", "id"),
)
LEG_COLUMNS: Final = (
    *("started", "linked_id", "leg", "caller", "callee", "disposition", "billable_s"),
    *("codec", "packets", "loss", "jitter", "mos", "loss_out", "jitter_out", "mos_out", "rtt", "crypto", "beside"),
)
TRUNK_COLUMNS: Final = ("tenant", "trunk", "host", "state", "registration", "calls", "max_calls", "failures", "last")
DESK_COLUMNS: Final = ("tenant", "desk", "person", "since")
BAN_COLUMNS: Final = ("source", "account", "left_s")
TRACE_COLUMNS: Final = ("started", "id", "tenant", "caller", "callee", "fate", "cause", "entries")
TIMES: Final = ("started", "answered", "ended")

MOST_ROWS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Listing:
    """A command that asks the daemon for rows, or reads them from the store when none runs."""

    columns: tuple[str, ...]
    offline: Callable[[Path, dict[str, object]], Iterable[Row]] | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of the command line given."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a letter shows its escape
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        status = RUNS[options.name](options)
        sys.stdout.flush()
    except ConfigError as error:
        return _failed(str(error), USAGE, prefix="")
    except ControlError as error:
        return _failed(str(error), error.exit_status, prefix="" if error.exit_status == USAGE else "voipat: ")
    except PbxError as error:
        return _failed(str(error), FAILED)
    except BrokenPipeError:  # `voipat cdr | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _failed(f"internal error: {type(error).__name__}: {error}; trace {trace_of(error)}, {where_of(error)}")
    return status


def _failed(message: str, status: int = FAILED, *, prefix: str = "voipat: ") -> int:
    for line in message.splitlines():
        print(f"{prefix}{output.printable(line)}", file=sys.stderr)
    return status


def _serve(options: argparse.Namespace) -> int:
    from pbx import daemon  # neither the engine, the store nor the configuration is loaded to print a table

    return daemon.serve(options.config, options.settings)


def _check(options: argparse.Namespace) -> int:
    from pbx import config, programs, rates
    from pbx.dial_plan import warnings_of
    from pbx.mail_config import mail_warnings
    from pbx.media_warnings import media_warnings

    checked = config.load(options.file, options.settings)
    programs.load(checked.tenants)
    rates.load(checked.tenants)
    certificates = config.load_tls(checked, datetime.now(UTC).timestamp())  # noqa: TID251  the operator's clock
    if certificates is not None and certificates.expired:
        raise ConfigError(certificates.expired)
    server, tenants = checked.server, checked.tenants
    secrecy = (*(() if certificates is None else certificates.warnings), *media_warnings(server, tenants))
    plans = (text for tenant in tenants for text in warnings_of(tenant))
    for warning in (*secrecy, *plans, *mail_warnings(server.mail, tenants)):
        print(f"warning: {output.printable(warning)}", file=sys.stderr)
    extensions = sum(len(tenant.extensions) for tenant in checked.tenants)
    print(f"{options.file}: ok, {_counted(len(checked.tenants), 'tenant')}, {_counted(extensions, 'extension')}")
    return OK


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _version(_: argparse.Namespace) -> int:
    print(f"voipat {version_number()}")
    return OK


def _list(options: argparse.Namespace) -> int:
    listing = LISTINGS[options.name]
    rows = _rows(options, _given(options, "tenant"), offline=listing.offline)
    return _print(options, rows, listing.columns)


def _services(options: argparse.Namespace) -> int:
    rows = list(_rows(options, _given(options, "tenant", "number")))
    return _print(options, rows, list(rows[0]) if rows else ())


def _desks(options: argparse.Namespace) -> int:
    return _print(options, _rows(options, _given(options, "tenant", "log_out")), DESK_COLUMNS)


def _cdr(options: argparse.Namespace) -> int:
    if options.format == "parquet" and options.output is None:
        raise ControlError("Parquet is no text: name a file with --output", exit_status=USAGE)
    wanted = _given(options, "since", "until", "caller", "callee", "disposition", "tenant", "limit")
    wanted.setdefault("limit", DEFAULT_CDR_ROWS if options.format is None else MOST_ROWS)
    rows = _rows(options, {**wanted, "legs": options.legs}, offline=_stored_cdrs)
    if options.format is not None:
        count = cdr_export.write(rows, options.format, options.output, sys.stdout)
        if options.output is not None:
            print(f"{count} rows in {output.printable(str(options.output))}", file=sys.stderr)
        return OK
    if options.json:
        return _print(options, rows, ())
    return _print(options, map(_flat_cdr, rows), LEG_COLUMNS if options.legs else CDR_COLUMNS)


def _voicemail(options: argparse.Namespace) -> int:
    return voicemail_cli.run(options, partial(_rows, options, offline=voicemail_cli.stored))


def _messages(options: argparse.Namespace) -> int:
    return waiting_cli.run(options, partial(_rows, options, offline=waiting_cli.stored))


def _stats(options: argparse.Namespace) -> int:
    return _print_objects(options, _rows(options, {}))


def _bans(options: argparse.Namespace) -> int:
    rows = _rows(options, _given(options, "lift"))
    if options.lift is None or options.json:
        return _print(options, rows, BAN_COLUMNS)
    for row in rows:
        print(f"lifted the bans of {output.printable(str(row.get('source')))}")
    return OK


def _reload(options: argparse.Namespace) -> int:
    for row in _rows(options, {"check": options.check}):
        if options.json:
            print(output.json_line(row))
        else:
            _print_changes(row)
    return OK


def _drain(options: argparse.Namespace) -> int:
    rows = _rows(options, {"wait": options.wait}, timeout=None if options.wait else control.CLIENT_TIMEOUT)
    for row in rows:
        if options.json:
            print(output.json_line(row), flush=True)
        elif row.get("ended"):
            print("ended")
        else:
            print(
                f"draining: {row.get('calls')} calls up, ended after {row.get('limit_s')} s at the latest", flush=True
            )
    return OK


def _call(options: argparse.Namespace) -> int:
    wanted = {**_given(options, "caller", "target", "tenant"), "timeout": options.timeout}
    # The daemon gives the call up when we go away: Ctrl-C needs nothing more.
    caller, target = output.printable(options.caller), output.printable(options.target)
    for row in _rows(options, wanted, timeout=options.timeout + control.CLIENT_TIMEOUT):
        if options.json:
            print(output.json_line(row), flush=True)
        elif row.get("state") == "calling":
            print(f"{caller} is called, call {row.get('id')}", flush=True)
        else:
            print(f"{caller} has answered and is led to {target}", flush=True)
    return OK


def _hangup(options: argparse.Namespace) -> int:
    for row in _rows(options, {"id": options.id}):
        print(output.json_line(row) if options.json else f"hung up {output.printable(str(row.get('id')))}")
    return OK


def _trace(options: argparse.Namespace) -> int:
    if options.call is None:
        if options.messages or options.pcap is not None:
            raise ControlError("--messages and --pcap need a CALL", exit_status=USAGE)
        wanted = {**_given(options, "tenant", "limit"), "failed": options.failed}
        return _print(options, _rows(options, wanted), TRACE_COLUMNS)
    if options.last or options.failed:
        raise ControlError("give a CALL, or --last or --failed", exit_status=USAGE)
    with_text = options.messages or options.pcap is not None
    rows = list(_rows(options, {"call": options.call, "messages": with_text}))
    return _write_pcap(options, rows) if options.pcap is not None else _print_trace(options, rows)


def _write_pcap(options: argparse.Namespace, rows: Sequence[Row]) -> int:
    from pbx import trace

    try:
        count = trace.write_pcapng(rows, options.pcap)
    except OSError as error:
        raise ControlError(f"{options.pcap}: {error.strerror or error}", exit_status=FAILED) from error
    print(output.json_line({"packets": count}) if options.json else f"{options.pcap}: {count} packets")
    return OK


def _print_trace(options: argparse.Namespace, rows: Sequence[Row]) -> int:
    from pbx import trace

    for line in map(output.json_line, rows) if options.json else trace.lines(rows, messages=options.messages):
        print(line)
    return OK


def _route(options: argparse.Namespace) -> int:
    wanted = {
        **_given(options, "number", "caller_number", "at", "tenant"),
        "from": options.caller,
        "now": datetime.now(UTC).timestamp(),  # noqa: TID251  the operator's clock
    }
    offline = None if options.config is None else partial(_route_offline, options.config)
    for row in _rows(options, wanted, offline=offline):
        if options.json:
            print(output.json_line(row))
        elif row.get("rule") == "outcome":
            print(f"-> {output.printable(str(row.get('why')))}")
        else:
            mark = "+" if row.get("took") else "-"
            print(f" {mark} {output.printable(str(row.get('rule')))}: {output.printable(str(row.get('why')))}")
    return OK


def _route_offline(path: Path, data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    """By the configuration alone: what was set by hand is in a store that no daemon reads now."""
    from pbx import config
    from pbx.directory import Directory
    from pbx.route_question import question_of, route_rows
    from pbx.tenant_state import LiveState

    loaded = config.load(path)
    directory = Directory(loaded.tenants, default_tenant=loaded.server.default_tenant)
    return route_rows(directory, LiveState(), question_of(arguments))


def _recordings(options: argparse.Namespace) -> int:
    return recording_cli.run(options, _rows)


def _audit(options: argparse.Namespace) -> int:
    return recording_cli.run_audit(options, _rows)


def _list_objects(options: argparse.Namespace) -> int:
    rows = list(_object_rows(options, _given(options, "kind", "tenant")))
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "tenant"))
    return _print(options, rows, columns)


def _show(options: argparse.Namespace) -> int:
    return _print_objects(options, _object_rows(options, _given(options, "object")))


def _set(options: argparse.Namespace) -> int:
    key, equals, value = options.setting.partition("=")
    wanted = {"object": options.object, "key": key, **({"value": value} if equals else {})}
    return _print_objects(options, _object_rows(options, wanted))


def _apply(options: argparse.Namespace) -> int:
    from pbx import config

    wanted = {"text": config.read_text(options.file), "file": str(options.file), "check": options.check}
    for row in _object_rows(options, wanted):
        if options.json:
            print(output.json_line(row))
        else:
            _print_changes(row)
    return OK


def _export(options: argparse.Namespace) -> int:
    for row in _object_rows(options, _given(options, "tenant")):
        print(output.json_line(row) if options.json else row.get("line"))
    return OK


def _object_rows(options: argparse.Namespace, arguments: dict[str, object]) -> Iterator[Row]:
    return _rows(options, arguments, offline=partial(_stored_objects, options.name))


def _stored_objects(command: str, data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    """By the store, whose daemon is down."""
    import asyncio

    from pbx.object_commands import StoredBook, object_rows

    async def collect() -> list[Row]:
        return [row async for row in object_rows(book, command, arguments)]

    book = StoredBook(
        data,
        lambda: datetime.now(UTC).timestamp(),  # noqa: TID251  the operator's clock
        make=command == "apply",
    )
    try:
        yield from asyncio.run(collect())
    finally:
        book.close()


def _explain(options: argparse.Namespace) -> int:
    from voipat.reasons import REASONS

    reason = REASONS.get(options.id.strip().upper())
    if reason is None:
        raise ControlError(f"there is no id {output.printable(options.id)}", exit_status=NOT_THERE)
    if options.json:
        print(output.json_line(asdict(reason)))
        return OK
    print(f"{reason.id}  {reason.text}")
    print(f"  SIP {reason.status}, Q.850 cause {reason.q850}, disposition {reason.disposition}")
    for what, text in (("cause", reason.explanation), ("fix", reason.fix)):
        start = f"  {what + ':':<6} "
        # A command is never broken within a word.
        print(
            textwrap.fill(text, 100, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)
        )
    return OK


def _given(options: argparse.Namespace, *names: str) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _rows(
    options: argparse.Namespace,
    arguments: dict[str, object],
    *,
    offline: Callable[[Path, dict[str, object]], Iterable[Row]] | None = None,
    timeout: float | None = control.CLIENT_TIMEOUT,
) -> Iterator[Row]:
    """Rows of the daemon, or of the store when no daemon runs and the command can be answered without one."""
    data = _data_directory(options)
    rows = control.request(data, options.name, arguments, timeout=timeout)
    try:
        first = next(rows, None)
    except NotRunningError:
        if offline is None:
            raise
        try:
            yield from offline(data, arguments)
        except DataDirectoryError as error:
            raise ControlError(str(error), exit_status=NOT_THERE) from error
        return
    if first is not None:
        yield first
    yield from rows


def _data_directory(options: argparse.Namespace) -> Path:
    if options.data is not None:
        return Path(options.data)
    if options.config is not None:
        from pbx import config

        return config.load(options.config).server.data
    return data_directory()


def _stored_registrations(data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    from pbx import stored

    return stored.registrations(data, arguments, datetime.now(UTC).timestamp())  # noqa: TID251  the operator's clock


def _stored_cdrs(data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    from pbx import stored

    return stored.cdrs(data, arguments)


def _flat_cdr(row: Row) -> Row:
    """A CDR as its table shows it: the cause as one word, the leg's side beside it."""
    cause = row.get("cause")
    parts = [cause.get(name) for name in ("id", "sip", "q850")] if isinstance(cause, dict) else []
    side = row.get("a_leg") or row.get("b_leg")
    media = side if isinstance(side, dict) else {}
    return {
        **row,
        **media,
        "leg": "a" if row.get("a_leg") else "b",
        "cause": " ".join(str(part) for part in parts if part is not None),
    }


def _print(options: argparse.Namespace, rows: Iterable[Row], columns: Sequence[str]) -> int:
    lines = map(output.json_line, rows) if options.json else output.table(rows, columns, times=TIMES)
    for line in lines:
        print(line)
    return OK


def _print_objects(options: argparse.Namespace, rows: Iterable[Row]) -> int:
    for row in rows:
        for line in [output.json_line(row)] if options.json else output.pairs(row):
            print(line)
    return OK


def _print_changes(row: Row) -> None:
    print(
        ("applied" if "needs_restart" not in row else "reloaded") if row.get("applied") else "checked, nothing changed"
    )
    for kind in ("added", "changed", "removed", "needs_restart"):
        names = row.get(kind)
        for name in names if isinstance(names, list) else ():
            print(f"  {kind.replace('_', ' ')}: {output.printable(str(name))}")
    if row.get("certificates"):
        print("  new certificates")


LISTINGS: Final = {
    "registrations": Listing(REGISTRATION_COLUMNS, _stored_registrations),
    "calls": Listing(CALL_COLUMNS),
    "trunks": Listing(TRUNK_COLUMNS),
}

RUNS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "voicemail": _voicemail,
    "messages": _messages,
    "serve": _serve,
    "check": _check,
    "version": _version,
    "registrations": _list,
    "calls": _list,
    "trunks": _list,
    "cdr": _cdr,
    "conferences": _services,
    "queues": _services,
    "parked": _services,
    "desks": _desks,
    "stats": _stats,
    "bans": _bans,
    "reload": _reload,
    "drain": _drain,
    "call": _call,
    "hangup": _hangup,
    "trace": _trace,
    "explain": _explain,
    "route": _route,
    "list": _list_objects,
    "show": _show,
    "set": _set,
    "apply": _apply,
    "export": _export,
    "recordings": _recordings,
    "audit": _audit,
    "capacity": capacity_command.run,
}
