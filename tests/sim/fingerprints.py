"""A digest of all that a simulated world may still do: worlds of one digest have one future.

It covers every object that can be reached: endpoints, calls, the coroutines that wait and where they stand, timers.
Two worlds are the same when they differ only in names that were drawn (tags, branches, SSRCs: they are numbered as
they are met), in the order of keys that were drawn, of timers of one instant, in budgets of sources that a race never
uses up, and in what is only ever written: counters, the flight recorder, the ladder.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import functools
import gc
import hashlib
import re
import types
import weakref
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final

from pbx.directory import LiveDirectory
from sipcore.buckets import Recent
from sipcore.entropy import SeededEntropy
from sipcore.headers import Headers
from sipcore.message import Message
from sipcore.timers import Clock, Deadlines, Timers
from voipat.recorder import Recorder
from voipat.testing.ladder import Ladder, Rung
from voipat.testing.network import SimNetwork

# Hexadecimal tokens, numbers that were drawn from 32 bits, and the numbers that asyncio gives.
_DRAWN: Final = re.compile(r"[0-9]{6,}|[0-9a-f]{8,}|Task-[0-9]+")
_FIRST_DRAWN: Final = 100_000
# How much may have been added to one since: the next CSeq, RSeq or version.
_ADDED: Final = 64
_OPAQUE: Final = (
    asyncio.AbstractEventLoop,
    contextvars.Context,
    Ladder,
    LiveDirectory,
    Recent,
    Recorder,
    Rung,
    SeededEntropy,
    SimNetwork,
    Timers,
    type,
    types.CodeType,
    types.FrameType,
    types.ModuleType,
)
_WRITTEN_ONLY: Final = frozenset(("__dict__", "__weakref__", "_counters", "counters", "received_bytes"))
_PLAIN: Final = (type(None), bool, float, enum.Enum)
_BYTES: Final = (bytes, bytearray, memoryview)

# What a thing holds, in an order that does not depend on what was drawn.
Parts = Callable[[Any], Iterable[Any]]


def fingerprint(*roots: object) -> bytes:
    """The digest of what can be reached from `roots`."""
    return _Walk().digest(roots)


class _Walk:
    def __init__(self) -> None:
        self._words: list[str] = []
        self._met: dict[int, int] = {}
        # What was made while walking must not give its id to another.
        self._alive: list[object] = []
        self._names: dict[str | bytes, int] = {}
        self._numbers: list[int] = []

    def digest(self, roots: Iterable[object]) -> bytes:
        words, alive = self._words, self._alive
        todo: list[object] = list(roots)[::-1]
        while todo:
            it = todo.pop()
            kind = type(it)
            if kind is str:
                words.append(self._text(it))  # type: ignore[arg-type]  # it is
            elif kind is int:
                words.append(self._number(it))  # type: ignore[arg-type]  # it is
            elif issubclass(kind, _PLAIN):
                words.append(str(it))
            elif issubclass(kind, _BYTES):
                words.append(self._bytes(bytes(it)))  # type: ignore[call-overload]  # it is
            elif _is_opaque(kind):
                words.append(kind.__qualname__)
            elif not _is_value(kind) and id(it) in self._met:
                words.append(f"@{self._met[id(it)]}")
            else:
                self._met[id(it)] = len(self._met)
                held = list(_parts_of(kind)(it))
                words.append(f"{kind.__qualname__}/{len(held)}")
                alive += (it, held)
                todo += reversed(held)
        return hashlib.blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _text(self, text: str) -> str:
        return text if len(text) < 6 else _DRAWN.sub(self._renamed, text)

    def _bytes(self, data: bytes) -> str:
        """A message; what is no text is a key, drawn like a name."""
        try:
            return self._text(data.decode("ascii"))
        except UnicodeDecodeError:
            return f"<{self._names.setdefault(data, len(self._names))}>"

    def _renamed(self, found: re.Match[str]) -> str:
        text = found.group()
        if text.isdigit():
            return self._number(int(text))
        return f"<{self._names.setdefault(text, len(self._names))}>"

    def _number(self, value: int) -> str:
        if value < _FIRST_DRAWN:
            return str(value)
        for index, base in enumerate(self._numbers):
            if abs(value - base) < _ADDED:
                return f"<#{index} + {value - base}>"
        self._numbers.append(value)
        return f"<#{len(self._numbers) - 1}>"


def looks(it: Any, depth: int = 3) -> str:
    """What sorts things whatever was drawn: the same for things that differ further down only."""
    kind = type(it)
    if issubclass(kind, (str, int, *_PLAIN, *_BYTES)):
        return _DRAWN.sub("#", repr(it))
    if not depth or _is_opaque(kind):
        return kind.__qualname__
    if issubclass(kind, dict | set | frozenset):
        return f"{kind.__qualname__}/{len(it)}"
    return f"{kind.__qualname__}({','.join(looks(each, depth - 1) for each in _parts_of(kind)(it))})"


@functools.cache
def _is_opaque(kind: type) -> bool:
    """Whether what it holds never changes, or is only written, or is the simulation's own."""
    return issubclass(kind, _OPAQUE) or kind.__module__ == "_cffi_backend"


@functools.cache
def _is_value(kind: type) -> bool:
    """Whether nobody can tell one from a copy of it."""
    return issubclass(kind, tuple | frozenset | Message) or _is_frozen(kind)


def _is_frozen(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


@functools.cache
def _parts_of(kind: type) -> Parts:
    for known, parts in _PARTS:
        if issubclass(kind, known):
            return parts
    slots = {name for each in kind.__mro__ for name in _slots(each)} - _WRITTEN_ONLY
    if issubclass(kind, Clock):
        slots |= {"interval", "repeat_at", "expire_at"}
    if _is_frozen(kind):
        # Not what was computed from its fields and kept.
        return _attributes(sorted(getattr(kind, "__dataclass_fields__")))  # noqa: B009  # mypy knows no such attribute
    if hasattr(kind, "__dictoffset__") and kind.__dictoffset__:
        return lambda it: [*_attributes(sorted(slots))(it), *_own(it)]
    return (
        _attributes(sorted(slots)) if slots else lambda it: [each for each in gc.get_referents(it) if each is not kind]
    )


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _attributes(names: Iterable[str]) -> Parts:
    known = tuple(names)
    return lambda it: [getattr(it, name, None) for name in known]


def _own(it: Any) -> list[Any]:
    """Names and values of what is in its dictionary."""
    return [each for name in sorted(it.__dict__) if name not in _WRITTEN_ONLY for each in (name, it.__dict__[name])]


def _pairs(it: dict[Any, Any]) -> list[Any]:
    return [each for key in _ordered(list(it)) for each in (key, it[key])]


def _ordered(things: list[Any]) -> list[Any]:
    """In an order that does not depend on names that were drawn."""
    if len(things) < 2 or all(type(each) is str and not _DRAWN.search(each) for each in things):
        return things
    return sorted(things, key=looks)


def _function(it: types.FunctionType) -> list[Any]:
    return [it.__module__, it.__qualname__, it.__defaults__, *(_cell(cell) for cell in it.__closure__ or ())]


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _coroutine(it: Any) -> list[Any]:
    """Where it stands, and what it holds there."""
    frame = getattr(it, "cr_frame", None) or getattr(it, "gi_frame", None) or getattr(it, "ag_frame", None)
    held = [each for each in gc.get_referents(it) if not isinstance(each, types.FunctionType)]
    return [it.__qualname__, None if frame is None else frame.f_lasti, *held]


def _deadlines(it: Deadlines) -> list[Any]:
    """Whose time comes when; entries that an owner has left behind mean nothing."""
    owners = {id(owner): (owner.next_deadline(), owner) for owner in it.owners()}
    return sorted((each for each in owners.values() if each[0] < inf), key=lambda each: (each[0], looks(each[1])))


_PARTS: Final[list[tuple[Any, Parts]]] = [
    (dict, _pairs),
    (set | frozenset, lambda it: _ordered(list(it))),
    (list | tuple, list),
    (Message, lambda it: [it.to_bytes()]),
    (Headers, lambda it: it.items()),
    (Deadlines, _deadlines),
    (types.FunctionType, _function),
    (types.MethodType, lambda it: [it.__func__.__qualname__, it.__self__]),
    (types.BuiltinFunctionType, lambda it: [it.__name__, it.__self__]),
    (functools.partial, lambda it: [it.func, it.args, it.keywords]),
    (types.CoroutineType | types.GeneratorType | types.AsyncGeneratorType, _coroutine),
    (asyncio.Future, lambda it: [it._state, getattr(it, "_must_cancel", None), *gc.get_referents(it)]),
    (asyncio.TimerHandle, lambda it: [it.cancelled(), it.when(), it._callback, it._args]),
    (asyncio.Handle, lambda it: [it.cancelled(), it._callback, it._args]),
    (weakref.ref, lambda it: [it()]),
]
