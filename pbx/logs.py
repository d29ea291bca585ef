"""The daemon's log: one line per fact on stderr, logfmt or JSON, that costs a call nothing.

- A line carries time, level, logger, message and the fields given by `extra=`: tenant and call first.
- Secrets and digits are masked and control bytes escaped on the way out, whoever wrote the line.
- One call site writes ten lines a second; the rest is counted and said as "n more" (a flood names itself).
- Writing happens on a thread of its own behind a bounded queue: a pipe that nobody reads costs lines, counted.
- A bug is one line: the error, where it came through, and a trace id that is the same each time it happens.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import select
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pbx.output import printable

MAX_QUEUED_LINES = 10_000
MAX_VALUE = 1024
MAX_LINE = 8192
LINES_PER_SECOND = 10
MAX_CAUSES = 1024
WRITE_CHUNK = 65_536
FRAMES_SHOWN = 6
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Lines gather for so long before they are written: a wake of the thread for each one costs more than the line.
GATHER_S = 0.05

# What a caller may give by `extra=` to name the cause that is counted, where its line in the source says too little.
CAUSE_FIELD: Final = "rate_cause"

_PLAIN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", CAUSE_FIELD}
_FIRST_FIELDS: Final = ("tenant", "call")
_MASK: Final = "***"
_SECRET_FIELD: Final = re.compile(r"pass(word|wd)?$|secret|^ha1|authorization$|token$|^key$|_key$|^inline$|^pin$", re.I)
_DIGIT_FIELD: Final = re.compile(r"^(dtmf_?)?digits?$|^dtmf$", re.I)
_BARE: Final = re.compile(r"[^\s\"=\\]+")
# What a secret looks like inside a text: a digest, a header, SDES key material, a URI's password, an INFO digit.
_SECRET_TEXT: Final = (
    (re.compile(r"((?:proxy-)?authorization\s*:)[^\r\n]*", re.I), rf"\1 {_MASK}"),
    (re.compile(r"\b((?:response|cnonce)\s*=\s*)(?:\"[^\"]*\"|[^\s,;]+)", re.I), rf"\1{_MASK}"),
    (
        re.compile(r"\b((?:password|passwd|secret|ha1|token|pin)\"?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;]+)", re.I),
        rf"\1{_MASK}",
    ),
    (re.compile(r"(\binline:)[A-Za-z0-9+/=]+"), rf"\1{_MASK}"),
    (re.compile(r"(\bsips?:[^\s:@<>;?]*):[^\s@<>]*@", re.I), rf"\1:{_MASK}@"),
    (re.compile(r"(\bsignal\s*=\s*)[0-9A-D*#]+", re.I), r"\1*"),
)


def masked(text: str) -> str:
    """The text without passwords, digest responses, media keys and INFO digits."""
    if ":" not in text and "=" not in text:
        return text
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def trace_of(error: BaseException) -> str:
    """Eight hex digits that name this bug: its type and the lines it came through, so that reports can be joined."""
    seed = f"{type(error).__name__} {' '.join(_frames(error))}"
    return hashlib.blake2s(seed.encode(), digest_size=4).hexdigest()


def where_of(error: BaseException) -> str:
    """The innermost frames of the error as `file:line:function`, innermost first."""
    return " < ".join(list(_frames(error))[:FRAMES_SHOWN])


class LineFormatter(logging.Formatter):
    """Records as logfmt, or as JSON objects."""

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields_of(record)
        line = json.dumps(fields, default=str) if self._as_json else _logfmt(fields)
        return line if len(line) <= MAX_LINE else _shortened(fields, as_json=self._as_json)


class RateLimit:
    """At most `per_second` records of one cause in one second; what is left out is counted for the next line."""

    @dataclass(slots=True)
    class _Window:
        second: int
        passed: int = 0
        left_out: int = 0

    def __init__(self, per_second: int = LINES_PER_SECOND, *, max_causes: int = MAX_CAUSES) -> None:
        self._per_second = per_second
        self._max_causes = max_causes
        self._windows: OrderedDict[str, RateLimit._Window] = OrderedDict()
        self.left_out = 0

    def admit(self, cause: str, now: float) -> int | None:
        """How many were left out before this record; None when this one is left out as well."""
        window = self._window(cause, int(now))
        if window.passed >= self._per_second:
            window.left_out += 1
            self.left_out += 1
            return None
        window.passed += 1
        before, window.left_out = window.left_out, 0
        return before

    def refuses(self, cause: str, now: float) -> bool:
        """Whether a record of the cause would be left out now; then it is counted as such, and need not be made."""
        window = self._windows.get(cause)
        if window is None or window.second != int(now) or window.passed < self._per_second:
            return False
        window.left_out += 1
        self.left_out += 1
        return True

    def expired(self, now: float) -> list[tuple[str, int]]:
        """Causes whose second is over with records left out and no later record that said so."""
        stale = [(cause, window) for cause, window in self._windows.items() if window.second < int(now)]
        for cause, _window in stale:
            del self._windows[cause]
        return [(cause, window.left_out) for cause, window in stale if window.left_out]

    def _window(self, cause: str, second: int) -> _Window:
        window = self._windows.get(cause)
        if window is None:
            if len(self._windows) >= self._max_causes:
                self._windows.popitem(last=False)
            window = self._windows[cause] = RateLimit._Window(second)
        elif window.second != second:
            window.second, window.passed = second, 0
            self._windows.move_to_end(cause)
        return window


class LineSink:
    """Lines to a descriptor, written by a thread of its own; when the reader stops, lines are dropped and counted."""

    def __init__(self, descriptor: int, *, capacity: int = MAX_QUEUED_LINES) -> None:
        self._descriptor = descriptor
        self._capacity = capacity
        self._lines: deque[str] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._idle = False
        self._is_torn = False
        self._unreported = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queues the line, or drops it when the queue is full; never blocks on the descriptor."""
        with self._wake:
            if len(self._lines) >= self._capacity or self._closing:
                self.dropped += 1
                self._unreported += 1
                return
            self._lines.append(line)
            if self._idle:
                self._idle = False
                self._wake.notify()

    def close(self, limit: float = 0.5) -> None:
        """Writes what is queued, for at most `limit` seconds; later lines are dropped."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(limit)

    def _run(self) -> None:
        while chunk := self._next_chunk():
            if not self._put(chunk):
                return

    def _next_chunk(self) -> bytes:
        with self._wake:
            while not self._lines and not self._closing:
                self._idle = True
                self._wake.wait()
            self._idle = False
            self._wake.wait_for(lambda: self._closing, GATHER_S)
            taken: list[str] = []
            if self._is_torn and self._lines:
                taken.append("")
                self._is_torn = False
            if self._unreported and self._lines:
                taken.append(f'level=warning logger=pbx.logs msg="log lines dropped" lines={self._unreported}')
                self._unreported = 0
            size = 0
            while self._lines and size < WRITE_CHUNK:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
        return "".join(f"{line}\n" for line in taken).encode("utf-8", "backslashreplace")

    def _put(self, chunk: bytes) -> bool:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # the parent made the pipe non-blocking
                select.select([], [self._descriptor], [], 1.0)
            except OSError as error:
                if error.errno in DISK_FULL:
                    self._lose(chunk, len(chunk) - len(view))
                    return True
                with self._wake:  # the reader is gone for good: everything from now on is dropped
                    self._closing = True
                    self.dropped += len(self._lines) + 1
                    self._lines.clear()
                return False
        return True

    def _lose(self, chunk: bytes, written: int) -> None:
        """The log's disk takes no more; the next line that it takes says how many were lost."""
        with self._wake:
            lost = chunk.count(b"\n", written)
            self.dropped += lost
            self._unreported += lost
            self._is_torn = written > 0 and chunk[written - 1] != ord("\n")


class StructuredHandler(logging.Handler):
    """Formatter, rate limit and sink in one handler of the standard library's logging."""

    def __init__(self, sink: LineSink, formatter: LineFormatter, limit: RateLimit) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.sink = sink
        self.limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        try:
            cause = getattr(record, CAUSE_FIELD, None) or f"{record.pathname}:{record.lineno}"
            left_out = self.limit.admit(cause, record.created)
            if left_out is None:
                return
            if left_out:
                record.left_out = f"{left_out} more"
            self.sink.write(self.format(record))
        except Exception:  # a log line must never be the reason why a call ends
            self.sink.dropped += 1

    def tick(self, now: float) -> None:
        """Says what was left out in seconds that are over; called about once a second."""
        with self._guarded():
            expired = self.limit.expired(now)
        for cause, count in expired:
            site = "/".join(cause.rsplit("/", 2)[-2:])
            record = logging.LogRecord("pbx.logs", logging.WARNING, cause, 0, f"{count} more", None, None)
            record.site = site
            self.sink.write(self.format(record))

    def _guarded(self) -> threading.RLock:
        assert self.lock is not None, "logging.Handler makes its lock in __init__"
        return self.lock


class LogSession:
    """The structured log installed on the root logger while a daemon runs; `close` puts back what was there."""

    def __init__(self, *, level: str = "info", as_json: bool = False, descriptor: int = 2) -> None:
        self._root = logging.getLogger()
        self._before = (self._root.level, self._root.handlers[:])
        self._sink = LineSink(descriptor)
        self.handler = StructuredHandler(self._sink, LineFormatter(as_json=as_json), RateLimit())
        self._root.handlers[:] = [self.handler]
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Lines below `level` (debug, info, warning, error) are not made."""
        self._root.setLevel(level.upper())

    @property
    def counters(self) -> Mapping[str, int]:
        """Lines dropped by a slow reader, and lines left out by the rate limit."""
        return {"log_lines_dropped": self._sink.dropped, "log_lines_left_out": self.handler.limit.left_out}

    def tick(self, now: float) -> None:
        """See `StructuredHandler.tick`."""
        self.handler.tick(now)

    def close(self) -> None:
        """Flushes within half a second and restores the root logger."""
        level, handlers = self._before
        self._root.handlers[:] = handlers
        self._root.setLevel(level)
        self._sink.close()


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": _safe(record.getMessage()),
    }
    extra = {name: value for name, value in vars(record).items() if name not in _PLAIN_FIELDS}
    for name in (*_FIRST_FIELDS, *(name for name in extra if name not in _FIRST_FIELDS)):
        if extra.get(name) is not None:
            fields[name] = _safe_field(name, extra[name])
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields["error"] = _safe(f"{type(error).__name__}: {error}")
        fields["trace"] = trace_of(error)
        fields["where"] = _safe(where_of(error))
    return fields


def _safe_field(name: str, value: object) -> object:
    if _SECRET_FIELD.search(name):
        return _MASK
    if _DIGIT_FIELD.search(name):
        return "*" * min(len(str(value)), 8)
    if isinstance(value, bool | int | float):
        return value
    return _safe(str(value))


def _safe(text: str) -> str:
    text = masked(printable(text[: 4 * MAX_VALUE]))
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _logfmt(fields: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields.items())


def _logfmt_value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if _BARE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shortened(fields: Mapping[str, object], *, as_json: bool) -> str:
    """A line that stays parseable: the fields that fit, and how many did not."""
    kept: dict[str, object] = {}
    size = 0
    for name, value in fields.items():
        size += len(name) + 2 * len(str(value)) + 8
        if size > MAX_LINE - 64:
            break
        kept[name] = value
    kept["fields_left_out"] = len(fields) - len(kept)
    return json.dumps(kept, default=str) if as_json else _logfmt(kept)


def _frames(error: BaseException) -> Iterator[str]:
    trail = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = "/".join(code.co_filename.rsplit("/", 2)[-2:])
        trail.append(f"{file}:{traceback.tb_lineno}:{code.co_name}")
        traceback = traceback.tb_next
    return reversed(trail)
