"""What differs between two configurations, as a reload says it."""

from __future__ import annotations

from dataclasses import fields, replace

from pbx.config import Config, ServerConfig, needs_restart
from pbx.output import Row
from pbx.tenant_changes import TenantChanges, changes_of, objects_of


def tenant_changes(old: Config, new: Config) -> TenantChanges:
    """Tenants and their objects that came, changed or went."""
    return changes_of(_objects(old), _objects(new))


def reload_row(old: Config, new: Config, *, started: Config | None = None, applied: bool) -> Row:
    """The answer of `voipat reload`; `started` is what the daemon started with, when it is not `old`."""
    changes = tenant_changes(old, new)
    waiting = needs_restart(started or old, new)
    return {
        "applied": applied,
        "added": list(changes.added),
        "changed": [*_live_keys(old.server, new.server, waiting), *changes.changed],
        "removed": list(changes.removed),
        "needs_restart": list(waiting),
    }


def _live_keys(old: ServerConfig, new: ServerConfig, waiting: tuple[str, ...]) -> list[str]:
    """The keys of `[server]` that a reload has put in force."""
    # Of the log only the level can change under way.
    new = replace(new, log=replace(new.log, format=old.log.format))
    names = (key.name for key in fields(ServerConfig) if getattr(old, key.name) != getattr(new, key.name))
    return [f"server.{name}" for name in names if f"server.{name}" not in waiting]


def _objects(config: Config) -> dict[str, object]:
    objects: dict[str, object] = {}
    for tenant in config.tenants:
        objects |= objects_of(tenant)
    return objects
