"""The scenarios of `cells.toml`, and the cells of the speed tables that each of them fills."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).with_name("cells.toml")
TABLES = ("SIP", "media", "PBX")


@dataclass(frozen=True, slots=True)
class Target:
    """One cell of a speed table. `of` names what is measured ("" is the cost), `to` the server it is held against.

    `peer_then`: what the scenario's first peer took, in the same unit, on the machine that the target was set on, and
    `then` under which load.
    """

    table: Literal["SIP", "media", "PBX"]
    work: str
    of: str = ""
    to: str = ""
    how: Literal["value", "ratio", "difference"] = "value"
    at_most: float | None = None
    at_least: float | None = None
    goal: float | None = None
    peer_then: float | None = None
    then: str = ""

    def __post_init__(self) -> None:
        assert self.table in TABLES, f"{self.work}: table {self.table!r} is none of {TABLES}"
        assert (self.at_most is None) != (self.at_least is None), f"{self.work}: either at_most or at_least"
        assert (self.how == "value") == (not self.to), f"{self.work}: a ratio and a difference need `to`, a value none"
        assert self.peer_then is None or self.how == "value", f"{self.work}: a ratio is beside the peer already"

    @property
    def limit(self) -> float:
        limit = self.at_most if self.at_most is not None else self.at_least
        assert limit is not None
        return limit

    def is_met(self, value: float, limit: float | None = None) -> bool:
        limit = self.limit if limit is None else limit
        return value <= limit if self.at_most is not None else value >= limit


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` is a driver of `bench.cells`, `module` a program that prints figures, `absent` says why there are none."""

    name: str
    title: str
    run: str = ""
    module: str = ""
    absent: str = ""
    table: str = ""  # the speed table that an absent one is named in
    unit: str = ""
    load: float = 0
    load_unit: str = ""
    seconds: float = 3.0
    rounds: int = 3
    ours: str = ""
    peers: tuple[str, ...] = ()
    knee: float = 0.0  # the load at which FULL=1 begins to search; 0: it is not searched
    remark: str = ""
    target: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        ways = [way for way in (self.run, self.module, self.absent) if way]
        assert len(ways) == 1, f"{self.name}: one of run, module and absent"
        assert bool(self.absent) == (self.table in TABLES), f"{self.name}: an absent one names one of {TABLES}"
        assert not self.knee or self.load_unit, f"{self.name}: a knee has a load_unit"


def _scenario(name: str, table: Mapping[str, Any]) -> Scenario:
    known = {field.name for field in fields(Scenario)} - {"name"}
    unknown = set(table) - known
    assert not unknown, f"{FILE.name}: [{name}]: unknown keys {sorted(unknown)}, known are {sorted(known)}"
    values = {**table, "peers": tuple(table.get("peers", ()))}
    values["target"] = tuple(Target(**target) for target in table.get("target", ()))
    return Scenario(name, **values)


@lru_cache(maxsize=1)
def scenarios() -> dict[str, Scenario]:
    return {name: _scenario(name, table) for name, table in tomllib.loads(FILE.read_text()).items()}
