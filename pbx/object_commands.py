"""`voipat list | show | set | apply | export`, over a running daemon or over the store of one that is down."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from pbx.control import ControlError
from pbx.errors import ConfigError
from pbx.export import toml_of
from pbx.objects_shown import USAGE, diff, list_rows, parse_tenants, set_state, show_row, with_key
from pbx.output import Row
from pbx.persistence import restored_state
from pbx.store.sqlite import SqliteStore
from pbx.tenant_changes import TenantChanges
from pbx.tenant_state import SET_BY_HAND, LiveState
from pbx.tenants import TenantConfig

COMMANDS: Final = ("list", "show", "set", "apply", "export")
Arguments = Mapping[str, object]


class Book(Protocol):
    """Where the tenants are."""

    @property
    def tenants(self) -> Sequence[TenantConfig]: ...

    @property
    def state(self) -> LiveState: ...

    @property
    def listen(self) -> Sequence[str]:
        """Where the server listens: sample passwords are refused where others could use them."""
        ...

    async def put(self, tenants: Sequence[TenantConfig]) -> None:
        """Put these in force and into the store, or raise and change nothing."""
        ...


async def object_rows(book: Book, command: str, arguments: Arguments) -> AsyncIterator[Row]:
    """The answer to one of `COMMANDS`. Raises: ControlError."""
    try:
        match command:
            case "list":
                for row in list_rows(book.tenants, book.state, str(arguments.get("kind")), _text(arguments, "tenant")):
                    yield row
            case "show":
                yield show_row(book.tenants, book.state, str(arguments.get("object")))
            case "set":
                yield await _set(book, arguments)
            case "apply":
                yield await _apply(book, arguments)
            case "export":
                for line in toml_of(_wanted(book.tenants, _text(arguments, "tenant"))):
                    yield {"line": line}
    except ConfigError as error:
        raise ControlError(str(error), exit_status=USAGE) from error


async def _set(book: Book, arguments: Arguments) -> Row:
    name, key = str(arguments.get("object")), str(arguments.get("key"))
    value = _text(arguments, "value")
    if key in SET_BY_HAND or key == "override":
        return set_state(book.tenants, book.state, name, key, value)
    if value is None:
        raise ControlError(f"{key} cannot be unset: give KEY=VALUE", exit_status=USAGE)
    await book.put(with_key(book.tenants, name, key, value, book.listen))
    return show_row(book.tenants, book.state, name)


async def _apply(book: Book, arguments: Arguments) -> Row:
    tenants = parse_tenants(str(arguments.get("text")), str(arguments.get("file")), book.listen)
    changes = diff(book.tenants, tenants)
    check = bool(arguments.get("check"))
    if changes and not check:
        await book.put(tenants)
    return changes_row(changes, applied=not check)


def changes_row(changes: TenantChanges, *, applied: bool) -> Row:
    """What differs, as `voipat reload` says it."""
    names = {kind: list(getattr(changes, kind)) for kind in ("added", "changed", "removed")}
    return {"applied": applied, **names}


class StoredBook:
    """The tenants in a data directory that no daemon uses."""

    listen: Sequence[str] = ()

    def __init__(self, data: Path, wallclock: Callable[[], float]) -> None:
        self._store = SqliteStore.open(data, wallclock=wallclock, random_bytes=os.urandom)
        self.tenants: Sequence[TenantConfig] = self._store.load_tenants()
        self.state = restored_state(self._store, self._store.domains())

    async def put(self, tenants: Sequence[TenantConfig]) -> None:
        """As `Book.put`."""
        self._store.save_tenants(tenants)
        self.tenants = self._store.load_tenants()

    def close(self) -> None:
        """Everything is on the disk when this returns."""
        self._store.close()


def _wanted(tenants: Sequence[TenantConfig], domain: str | None) -> Iterator[TenantConfig]:
    return (tenant for tenant in tenants if domain in (None, tenant.domain))


def _text(arguments: Arguments, name: str) -> str | None:
    value = arguments.get(name)
    return None if value is None else str(value)
