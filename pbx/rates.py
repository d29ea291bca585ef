"""Rates of outbound routes: a CSV file of prefixes with the trunks that take them, read again at each reload.

    prefix,trunks,cost,priority,weight,times
    +49,carrier second,0.012
    +4930,second,0.009,5,,office

Only `prefix` and `trunks` must be there. The lower priority is tried first, then the lower cost; equals share the calls
by their weights. What is wrong with a file is told with its line, and then nothing changes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pbx.config_table import Problem
from pbx.errors import ConfigError
from pbx.prefixes import MAX_ROUTES, PrefixRoute, PrefixTable
from pbx.tenants import TenantConfig

# (tenant, route) → what its numbers are looked up in.
Rates = Mapping[tuple[str, str], PrefixTable]

NO_RATES: Final[Rates] = MappingProxyType({})
COLUMNS: Final = ("prefix", "trunks", "cost", "priority", "weight", "times")
MAX_PROBLEMS: Final = 20  # of one file: a wrong separator makes as many as there are lines

_PREFIX: Final = re.compile(r"\+?[0-9*#]{0,20}")


def load(tenants: Iterable[TenantConfig]) -> Rates:
    """The table of every route that has rates. Blocks. Raises: ConfigError, with every fault that was found."""
    found: dict[tuple[str, str], PrefixTable] = {}
    problems: list[Problem] = []
    for tenant in tenants:
        for route in tenant.plan.routes:
            if route.rates:
                reader = _Reader(route.rates, tenant)
                found[tenant.domain, route.name] = reader.read()
                problems += reader.problems[:MAX_PROBLEMS]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return MappingProxyType(found)


class _Reader:
    """One file as one tenant sees it."""

    def __init__(self, path: str, tenant: TenantConfig) -> None:
        self._path = path
        self._trunks = {trunk.name for trunk in tenant.trunks}
        self._times = {times.name for times in tenant.plan.times}
        # Most lines have the trunks of another.
        self._known: dict[str, tuple[str, ...]] = {}
        self._line = 1
        self.problems: list[Problem] = []

    def read(self) -> PrefixTable:
        try:
            with Path(self._path).open(encoding="utf-8", newline="") as file:
                return PrefixTable(self._routes(csv.DictReader(file)))
        except OSError as error:
            self._refuse("file", f"cannot be read: {error.strerror}")
        except (UnicodeDecodeError, csv.Error) as error:
            self._refuse("file", f"is no CSV in UTF-8: {error}")
        except ValueError:
            self._refuse("file", f"has more than {MAX_ROUTES} lines")
        return PrefixTable()

    def _routes(self, rows: csv.DictReader[str]) -> Iterator[PrefixRoute]:
        names = rows.fieldnames or ()
        if not {"prefix", "trunks"} <= set(names) <= set(COLUMNS):
            self._refuse("columns", f"the first line names the columns: {','.join(COLUMNS)}")
            return
        for row in rows:
            self._line = rows.line_num
            if (route := self._route(row)) is not None:
                yield route

    def _route(self, row: dict[str, str | None]) -> PrefixRoute | None:
        prefix = row["prefix"] or ""
        if None in row or not _PREFIX.fullmatch(prefix):
            self._refuse("prefix", f"{prefix!r} is none, give up to 20 digits such as '+4930'")
            return None
        times = row.get("times") or ""
        if times and times not in self._times:
            self._refuse("times", f"{times!r} is no times of this tenant")
        return PrefixRoute(
            prefix,
            self._trunks_of(row["trunks"] or ""),
            priority=int(self._number(row, "priority", 10, 0, 1000)),
            cost=self._number(row, "cost", 0.0, 0.0, 1e6),
            weight=int(self._number(row, "weight", 10, 1, 1000)),
            times=times,
        )

    def _trunks_of(self, text: str) -> tuple[str, ...]:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = tuple(text.split())
            unknown: Collection[str] = set(found) - self._trunks
            if unknown or not found:
                self._refuse("trunks", f"{text!r} names no trunk of this tenant")
        return found

    def _number(self, row: dict[str, str | None], name: str, default: float, low: float, high: float) -> float:
        text = row.get(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = high + 1
        if not low <= value <= high:
            self._refuse(name, f"{text!r} is not allowed, give a number from {low:g} to {high:g}")
            return default
        return value

    def _refuse(self, key: str, reason: str) -> None:
        self.problems.append(Problem(self._path, self._line, key, reason))
