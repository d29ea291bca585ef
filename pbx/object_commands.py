"""`voipat list | show | set | apply | export`, over a running daemon or over the store of one that is down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from pbx.control import ControlError
from pbx.errors import ConfigError, DataDirectoryError
from pbx.export import toml_of
from pbx.objects_shown import NOT_THERE, USAGE, diff, list_rows, parse_tenants, set_state, show_row, with_key
from pbx.output import Row
from pbx.persistence import restored_state
from pbx.store.database import DATABASE_FILE
from pbx.store.sqlite import SqliteStore
from pbx.tenant_changes import TenantChanges
from pbx.tenant_state import SET_BY_HAND, LiveState
from pbx.tenants import TenantConfig

COMMANDS: Final = ("list", "show", "set", "apply", "export")
Arguments = Mapping[str, object]
ChangeOfTenants = Callable[[Sequence[TenantConfig]], Sequence[TenantConfig]]


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

    async def change(self, make: ChangeOfTenants) -> None:
        """Put what `make` makes of the tenants in force and into the store, or raise what it does and change nothing.

        One change at a time, so that of two at once none is lost. `make` may run on another thread, because it reads
        every extension again; when it returns the tenants that it was given there is nothing to put.
        """
        ...


async def object_rows(book: Book, command: str, arguments: Arguments) -> AsyncIterator[Row]:
    """The answer to one of `COMMANDS`. Raises: ControlError."""
    try:
        match command:
            case "list":
                wanted = (book.tenants, book.state, str(arguments.get("kind")), known_tenant(book.tenants, arguments))
                for row in list_rows(*wanted):
                    yield row
            case "show":
                yield show_row(book.tenants, book.state, str(arguments.get("object")))
            case "set":
                yield await _set(book, arguments)
            case "apply":
                yield await _apply(book, arguments)
            case "export":
                for line in toml_of(_wanted(book.tenants, known_tenant(book.tenants, arguments))):
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
    await book.change(lambda tenants: with_key(tenants, name, key, value, book.listen))
    return show_row(book.tenants, book.state, name)


async def _apply(book: Book, arguments: Arguments) -> Row:
    file, check = str(arguments.get("file")), bool(arguments.get("check"))
    tenants = await asyncio.to_thread(parse_tenants, str(arguments.get("text")), file, book.listen)
    if not tenants:
        raise ControlError(f"{file}: names no tenant; nothing was changed", exit_status=USAGE)
    changes = TenantChanges()

    def applied(before: Sequence[TenantConfig]) -> Sequence[TenantConfig]:
        nonlocal changes
        changes = diff(before, tenants)
        return tenants if changes and not check else before

    await book.change(applied)
    return changes_row(changes, applied=not check)


def known_tenant(tenants: Sequence[TenantConfig], arguments: Arguments) -> str | None:
    """The tenant that is asked for; None when none is. Raises: ControlError for one that is not there."""
    domain = _text(arguments, "tenant")
    if domain is not None and all(tenant.domain != domain for tenant in tenants):
        raise ControlError(f"there is no tenant {domain}", exit_status=NOT_THERE)
    return domain


def changes_row(changes: TenantChanges, *, applied: bool) -> Row:
    """What differs, as `voipat reload` says it."""
    names = {kind: list(getattr(changes, kind)) for kind in ("added", "changed", "removed")}
    return {"applied": applied, **names}


class StoredBook:
    """The tenants in a data directory that no daemon uses; only with `make` one that is not there is made.

    Raises: StoreError.
    """

    listen: Sequence[str] = ()

    def __init__(self, data: Path, wallclock: Callable[[], float], *, make: bool = False) -> None:
        if not make and not (data / DATABASE_FILE).exists():
            raise DataDirectoryError(data, f"there is no {DATABASE_FILE} in it")
        self._store = SqliteStore.open(data, wallclock=wallclock, random_bytes=os.urandom)
        self.tenants: Sequence[TenantConfig] = self._store.load_tenants()
        self.state = restored_state(self._store, self._store.domains())

    async def change(self, make: ChangeOfTenants) -> None:
        """As `Book.change`."""
        tenants = make(self.tenants)
        if tenants is not self.tenants:
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
