"""Objects by declaration: a frozen dataclass whose fields say how each key is read; everything else follows from it.

    class RingGroup:
        number: str = option(NUMBER)                        # no default: the key must be there
        ring_s: float = option(seconds(1, 3600), 20.0)
        members: tuple[str, ...] = options(NUMBER)          # a list
        keys: Pairs = pairs(DIGIT, TARGET)                  # a table whose keys the user names
        mailbox: Mailbox | None = part(Mailbox)             # a table within

`read` takes a TOML table, `plain` gives back what `read` took (only what is no default), `restore` is for what `plain`
gave and nobody touched. Secret values are kept apart (`secrets_of`), because the store seals them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

from pbx.config_table import Converter, Table

T = TypeVar("T")

Pairs = tuple[tuple[str, str], ...]

_OPTION: Final = "option"


@dataclass(frozen=True, slots=True)
class Option:
    """How one key is read."""

    convert: Converter[Any] | None = None
    keys: Converter[str] | None = None  # of a table whose keys the user names
    shape: type[Any] | None = None
    many: bool = False
    secret: bool = False


def option(convert: Converter[T], default: Any = MISSING, *, secret: bool = False) -> Any:
    """One value; without a default it must be given."""
    metadata = {_OPTION: Option(convert, secret=secret)}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def options(convert: Converter[T], default: tuple[T, ...] = ()) -> Any:
    """A list of values."""
    return field(default=default, metadata={_OPTION: Option(convert, many=True)})


def pairs(keys: Converter[str], convert: Converter[str]) -> Any:
    """A table of names chosen by the user, kept as pairs in the order of the file."""
    return field(default=(), metadata={_OPTION: Option(convert, keys)})


def part(shape: type[Any], default: Any = None) -> Any:
    """A table within; `default` when it is absent."""
    return field(default=default, metadata={_OPTION: Option(shape=shape)})


def read(shape: type[T], table: Table) -> T:
    """The object that `table` describes; faults go to the table's report."""
    found = shape(**read_keys(shape, table))
    table.finish()
    return found


def read_keys(shape: type[Any], table: Table) -> dict[str, Any]:
    """The declared keys of `shape` in `table`, for a shape that has others to read by hand."""
    return {name: _read_one(table, name, how, default) for name, how, default in declared(shape)}


def plain(value: Any, *, secrets: bool = True) -> dict[str, Any]:
    """The keys of an object that are no defaults, as TOML and JSON have them."""
    found: dict[str, Any] = {}
    for name, how, default in declared(type(value)):
        inner = getattr(value, name)
        if inner == default or (how.secret and not secrets):
            continue
        found[name] = _plain_value(how, inner, secrets=secrets)
    return found


def secrets_of(value: Any) -> dict[str, Any]:
    """Only the secret keys that are no defaults, nested as the object is."""
    found: dict[str, Any] = {}
    for name, how, default in declared(type(value)):
        inner = getattr(value, name)
        if how.secret and inner != default:
            found[name] = inner
        elif how.shape is not None and inner is not None and (deeper := secrets_of(inner)):
            found[name] = deeper
    return found


def restore(shape: type[T], values: Mapping[str, Any], secrets: Mapping[str, Any] | None = None, /, **others: Any) -> T:
    """The object that `plain` and `secrets_of` took apart; keys of another version are passed over.

    `others` are the fields that are not declared.
    """
    options_of = {name: how for name, how, _ in declared(shape)}
    found: dict[str, Any] = {**others}
    for name in {**values, **(secrets or {})}:
        if (how := options_of.get(name)) is None:
            continue
        value = values.get(name, MISSING)
        secret = (secrets or {}).get(name)
        if how.shape is not None:
            found[name] = restore(how.shape, {} if value is MISSING else value, secret)
        elif value is MISSING:
            found[name] = secret
        elif how.keys is not None:
            found[name] = tuple((key, text) for key, text in value.items())
        else:
            found[name] = tuple(value) if isinstance(value, list) else value
    return shape(**found)


def declared(shape: type[Any]) -> tuple[tuple[str, Option, Any], ...]:
    """Name, option and default (MISSING: it must be given) of every declared key."""
    return _declared(shape)  # type: ignore[arg-type]  # mypy: a class object is hashable, type[Any] is not


@cache
def _declared(shape: type[Any]) -> tuple[tuple[str, Option, Any], ...]:
    return tuple(
        (each.name, each.metadata[_OPTION], each.default)
        for each in dataclasses.fields(shape)
        if _OPTION in each.metadata
    )


def _read_one(table: Table, name: str, how: Option, default: Any) -> Any:
    if how.shape is not None:
        return read(how.shape, table.table(name)) if name in table else table.take(name, _never, default)
    assert how.convert is not None, "a key is a table or has a converter"
    if how.keys is not None:
        return _read_pairs(table.table(name), how.keys, how.convert)
    if how.many:
        return table.take_list(name, how.convert, default)
    if default is MISSING:
        return table.require(name, how.convert, "")
    return table.take(name, how.convert, default, secret=how.secret)


def _read_pairs(table: Table, keys: Converter[str], convert: Converter[str]) -> Pairs:
    found = []
    for name, _ in table.items():
        try:
            key = keys(name)
        except ValueError as error:
            table.refuse(name, f"the key is not allowed, give {error}")
            continue
        if (value := table.take(name, convert, "")) != "":
            found.append((key, value))
    return tuple(found)


def _never(value: object) -> Any:
    raise AssertionError("the key is absent")


def _plain_value(how: Option, value: Any, *, secrets: bool) -> Any:
    if how.shape is not None:
        return plain(value, secrets=secrets)
    if how.keys is not None:
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
