"""Rows out of the store: what the command line shows when no daemon runs, and the daemon's own CDR listing.

Every function blocks on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pbx import cdr
from pbx.basics import DISPOSITIONS
from pbx.control import ControlError
from pbx.objects_shown import NOT_THERE
from pbx.output import Row
from pbx.status import device_fields
from pbx.store.base import BindingRecord, CdrFilter
from pbx.store.sqlite import StoreReader
from sipcore.flow import Address

PAGE_ROWS: Final = 1000

Arguments = Mapping[str, object]


def registrations(data: Path, arguments: Arguments, wallclock: float) -> Iterator[Row]:
    """The bindings in the store that have not expired.

    Raises: ControlError for a tenant that is not there, DataDirectoryError.
    """
    with StoreReader(data) as reader:
        tenant = _known_tenant(reader, arguments)
        for domain in [tenant] if tenant is not None else reader.domains():
            for binding in reader.tenant(domain).load_bindings():
                if binding.expires_at > wallclock:
                    yield registration_row(domain, binding, wallclock)


def cdrs(data: Path, arguments: Arguments) -> Iterator[Row]:
    """The CDRs that the arguments want, newest first.

    Raises: ControlError for a tenant that is not there, DataDirectoryError.
    """
    with StoreReader(data) as reader:
        _known_tenant(reader, arguments)
        for page in cdr_pages(reader, arguments):
            yield from page


def registration_row(tenant: str, binding: BindingRecord, wallclock: float) -> Row:
    """A registration with the fields of the contract."""
    return {
        "tenant": tenant,
        "aor": binding.aor,
        "contact": binding.contact,
        "received": _received(binding.fields.get("remote")),
        "transport": binding.fields.get("transport"),
        "user_agent": binding.fields.get("user_agent"),
        **device_fields(str(binding.fields.get("user_agent", "")), str(binding.fields.get("instance", ""))),
        "expires_s": max(0, round(binding.expires_at - wallclock)),
        "reachable": None,
    }


def cdr_pages(source: cdr.CdrSource, arguments: Arguments) -> Iterator[list[Row]]:
    """The wanted CDRs in pages, so that a long listing holds neither memory nor a read transaction for long.

    Raises: ValueError.
    """
    wanted, tenant, left = _filter(arguments)
    view = cdr.legs if arguments.get("legs") else cdr.calls
    while left > 0:
        page = view(source, replace(wanted, limit=min(left, PAGE_ROWS)), tenant=tenant)
        yield [found.row() for found in page]
        left -= len(page)
        if len(page) < PAGE_ROWS:
            return
        wanted = replace(wanted, before=(page[-1].started, page[-1].id))


def _known_tenant(reader: StoreReader, arguments: Arguments) -> str | None:
    """The tenant that is asked for, which may be gone and have left rows; None when none is. Raises: ControlError."""
    tenant = _text(arguments, "tenant")
    if tenant is not None and tenant not in reader.domains():
        raise ControlError(f"there is no tenant {tenant}", exit_status=NOT_THERE)
    return tenant


def _received(remote: object) -> str | None:
    """Host and port as `Address` has them; None when the row is not ours."""
    if not isinstance(remote, Sequence) or len(remote) != 2:
        return None
    return str(Address(str(remote[0]), int(remote[1])))


def _filter(arguments: Arguments) -> tuple[CdrFilter, str | None, int]:
    disposition = _text(arguments, "disposition")
    if disposition is not None and disposition not in DISPOSITIONS:
        raise ValueError(f"there is no disposition {disposition!r}")
    wanted = CdrFilter(
        since=_number(arguments, "since"),
        until=_number(arguments, "until"),
        caller=_text(arguments, "caller"),
        callee=_text(arguments, "callee"),
        disposition=disposition,
    )
    limit = _number(arguments, "limit")
    return wanted, _text(arguments, "tenant"), wanted.limit if limit is None else int(limit)


def _text(arguments: Arguments, name: str) -> str | None:
    value = arguments.get(name)
    return None if value is None else str(value)


def _number(arguments: Arguments, name: str) -> float | None:
    value = arguments.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    return float(value)
