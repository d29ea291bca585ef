"""A trunk as the configuration file writes it, for the store and for `voipat export`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from pbx.config_table import Report, Table
from pbx.trunk_config import TrunkConfig, read_trunks


def plain_trunk(trunk: TrunkConfig) -> dict[str, Any]:
    """The keys of the trunk that are no defaults, among them its password."""
    found: dict[str, Any] = {"name": trunk.name, "host": _host(trunk)}
    implied = restore_trunks([found])[0]
    for key in dataclasses.fields(TrunkConfig):
        value = getattr(trunk, key.name)
        if key.name in ("name", "host", "port") or value == getattr(implied, key.name):
            continue
        if key.name == "addresses":
            found["addresses"] = [str(address) for address in value]
        elif key.name == "numbers":
            found["numbers"] = [dataclasses.asdict(rule) for rule in value]
        else:
            found[key.name] = list(value) if isinstance(value, tuple) else value
    return found


def restore_trunks(values: Iterable[Mapping[str, Any]]) -> tuple[TrunkConfig, ...]:
    """The trunks that `plain_trunk` wrote."""
    return read_trunks(Table({"trunk": [dict(value) for value in values]}, (), Report("the store", "")))


def _host(trunk: TrunkConfig) -> str:
    if trunk.port is None:
        return trunk.host
    return f"[{trunk.host}]:{trunk.port}" if ":" in trunk.host else f"{trunk.host}:{trunk.port}"
