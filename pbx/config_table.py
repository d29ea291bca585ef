"""Typed reading of TOML tables: every fault is collected with its file, line, key, value and what is allowed.

A converter is a function of the raw value that returns the typed one or raises `ValueError` with what is
allowed ("a whole number from 0 to 86400"). A value given by `--set` is a `Raw`: text whose type is decided by
the converter that reads it.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pbx.toml_positions import KeyPath, key_lines

T = TypeVar("T")
Choice = TypeVar("Choice", bound=str)
Converter = Callable[[object], T]

SHOWN_LENGTH = 60  # of a refused value; longer ones are cut


class Problem(NamedTuple):
    """One fault: prints as `file:line: key: reason`."""

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.reason}"


class Raw(str):
    """A value of the command line: not typed yet."""

    __slots__ = ()


class Report:
    """Where each value came from, and the problems found so far."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self.overridden: dict[KeyPath, int] = {}
        self.document: dict[str, Any] = {}
        self._file = file
        self._text = text
        self._lines: dict[KeyPath, int] | None = None

    def add(self, path: KeyPath, reason: str) -> None:
        """Record that the value at `path` is refused."""
        self.problems.append(self.place(path)._replace(reason=reason))

    def place(self, path: KeyPath) -> Problem:
        """Where `path` stands, for a fault that shows later; it has no reason yet."""
        file, line = self._origin(path)
        return Problem(file, line, self._name(path), "")

    def _origin(self, path: KeyPath) -> tuple[str, int]:
        """File and line of the longest known beginning of `path`."""
        # Positions cost more than parsing: they are made when there is something to complain about.
        if self._lines is None:
            self._lines = key_lines(self._text)
        for length in range(len(path), 0, -1):
            # What an override replaced, it replaced with all that was within.
            if (number := self.overridden.get(path[:length])) is not None:
                return "--set", number
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(path[:length])) is not None:
                return self._file, line
        return self._file, 1

    def _name(self, path: KeyPath) -> str:
        """The key as `--set` takes it: a tenant by its domain, an extension by its number, not by the index."""
        text = ""
        place: Any = self.document
        for name in path:
            place = _inside(place, name)
            called = (place.get("domain") or place.get("number")) if isinstance(place, dict) else None
            if isinstance(name, int):
                text += f".{plain(called)}" if isinstance(called, str) else f"[{name}]"
            else:
                text += f".{plain(name)}"
        return text.removeprefix(".")


def plain(name: str) -> str:
    """A name as it stands in a key: quoted when it is no plain word, so that a problem stays one line."""
    return name if re.fullmatch(r"[\w.*#+-]+", name) else repr(name)


def _inside(place: Any, name: str | int) -> Any:
    if isinstance(name, int):
        return place[name] if isinstance(place, list) and name < len(place) else None
    return place.get(name) if isinstance(place, dict) else None


class Table:
    """One table: take its keys, then `finish()` refuses what nobody took."""

    def __init__(self, values: Mapping[str, object], path: KeyPath, report: Report) -> None:
        self.path = path
        self.report = report
        self._values = values
        self._taken: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, convert: Converter[T], default: T, *, secret: bool = False) -> T:
        """The converted value of `key`, or `default` when it is absent or refused."""
        self._taken.append(key)
        if key not in self._values:
            return default
        return self._convert((*self.path, key), self._values[key], convert, default, secret=secret)

    def require(self, key: str, convert: Converter[T], fallback: T) -> T:
        """As `take`, but an absent key is a fault; `fallback` only lets the reading go on to the next fault."""
        if key not in self._values:
            self.report.add((*self.path, key), "is missing")
        return self.take(key, convert, fallback)

    def take_list(self, key: str, convert: Converter[T], default: tuple[T, ...]) -> tuple[T, ...]:
        """The converted elements of the list at `key`; a `--set` takes `a,b` or a TOML list."""
        self._taken.append(key)
        if key not in self._values:
            return default
        path = (*self.path, key)
        value = self._values[key]
        if isinstance(value, Raw):
            value = _raw_list(value)
        if not isinstance(value, list):
            self.report.add(path, f"{shown(value)} is not allowed, give a list")
            return default
        missing: Any = None
        items = (self._convert((*path, index), item, convert, missing) for index, item in enumerate(value))
        return tuple(item for item in items if item is not None)

    def is_empty_list(self, key: str) -> bool:
        """Whether a list is given that has nothing in it."""
        value = self._values.get(key)
        return (_raw_list(value) if isinstance(value, Raw) else value) == []

    def table(self, key: str) -> Table:
        """The table at `key`; an empty one when it is absent or refused."""
        self._taken.append(key)
        value = self._values.get(key, {})
        path = (*self.path, key)
        if not isinstance(value, dict):
            self.report.add(path, f"{shown(value)} is not allowed, give a table")
            value = {}
        return Table(value, path, self.report)

    def tables(self, key: str) -> list[Table]:
        """The tables of a list `[[key]]`."""
        self._taken.append(key)
        value = self._values.get(key, [])
        path = (*self.path, key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.report.add(path, f"{shown(value)} is not allowed, give tables headed [[{key}]]")
            return []
        return [Table(item, (*path, index), self.report) for index, item in enumerate(value)]

    def items(self) -> list[tuple[str, object]]:
        """Every key and raw value, for tables whose keys are names chosen by the user."""
        self._taken.extend(self._values)
        return list(self._values.items())

    def place(self, key: str) -> Problem:
        """Where `key` stands, for a fault that shows later."""
        return self.report.place((*self.path, key))

    def refuse(self, key: str, reason: str) -> None:
        """Record a fault that needed more than one key to see."""
        self.report.add((*self.path, key), reason)

    def finish(self) -> None:
        """Refuse the keys that nobody took, with the likeliest meant one."""
        for key in self._values:
            if key in self._taken:
                continue
            near = difflib.get_close_matches(key, self._taken, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(set(self._taken)))}"
            self.refuse(key, f"unknown key, {known}")

    def _convert(self, path: KeyPath, value: object, convert: Converter[T], default: T, *, secret: bool = False) -> T:
        try:
            return convert(value)
        except ValueError as error:
            what = "the value" if secret else shown(value)
            self.report.add(path, f"{what} is not allowed, give {error}")
            return default


def shown(value: object) -> str:
    """`value` as the user wrote it, short enough for one line."""
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def text_of(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("text in quotes")
    return str(value)


def text_like(pattern: str, allowed: str) -> Converter[str]:
    """Text that matches the whole `pattern`."""
    expression = re.compile(pattern)

    def convert(value: object) -> str:
        if not isinstance(value, str) or not expression.fullmatch(value):
            raise ValueError(allowed)
        return str(value)

    return convert


def one_of(*choices: Choice) -> Converter[Choice]:
    """One of the named choices."""

    def convert(value: object) -> Choice:
        for choice in choices:
            if choice == value:
                return choice
        raise ValueError("one of " + ", ".join(repr(choice) for choice in choices))

    return convert


def integer(low: int, high: int) -> Converter[int]:
    """A whole number from `low` to `high`."""

    def convert(value: object) -> int:
        number = _raw_number(value, int)
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return convert


def seconds(low: float, high: float) -> Converter[float]:
    """A duration in seconds."""

    def convert(value: object) -> float:
        number = _raw_number(value, float)
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            raise ValueError(f"seconds from {low:g} to {high:g}")
        return float(number)

    return convert


def absolute_path(value: object, allowed: str) -> str:
    """A path; `~` is understood. Raises: ValueError(allowed)."""
    try:
        path = Path(text_of(value)).expanduser()
    except (ValueError, RuntimeError):  # RuntimeError: the home of a user that does not exist
        raise ValueError(allowed) from None
    if not path.is_absolute() or not str(path).isprintable():
        raise ValueError(allowed)
    return str(path)


def flag(value: object) -> bool:
    """True or false."""
    if isinstance(value, Raw):
        value = {"true": True, "false": False}.get(value, value)
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def ip_address(value: object) -> str:
    """An IP address without port."""
    try:
        return str(ipaddress.ip_address(text_of(value)))
    except ValueError:
        raise ValueError("an IP address such as '203.0.113.7'") from None


def network(value: object) -> str:
    """A CIDR block; a lone address is a block of one."""
    try:
        return str(ipaddress.ip_network(text_of(value)))
    except ValueError:
        raise ValueError("a network such as '192.0.2.0/24' (host bits zero) or an address") from None


def _raw_number(value: object, kind: type[int] | type[float]) -> object:
    if not isinstance(value, Raw):
        return value
    try:
        return kind(value)
    except ValueError:
        return value


def _raw_list(value: Raw) -> object:
    if not value.lstrip().startswith("["):
        return [Raw(item.strip()) for item in value.split(",") if item.strip()]
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return str(value)
