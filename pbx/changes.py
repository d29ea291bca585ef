"""What differs between two configurations, as a reload says it."""

from __future__ import annotations

from dataclasses import fields, replace

from pbx.config import Config, ServerConfig, needs_restart
from pbx.output import Row
from pbx.store.base import TenantChanges
from pbx.tenants import ExtensionConfig, TenantConfig


def tenant_changes(old: Config, new: Config) -> TenantChanges:
    """Tenants and extensions that came, changed or went; keys are "domain" and "domain/number"."""
    before, after = _objects(old), _objects(new)
    return TenantChanges(
        added=tuple(key for key in after if key not in before),
        changed=tuple(key for key in after if key in before and after[key] != before[key]),
        removed=tuple(key for key in before if key not in after),
    )


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


def _objects(config: Config) -> dict[str, TenantConfig | ExtensionConfig]:
    objects: dict[str, TenantConfig | ExtensionConfig] = {}
    for tenant in config.tenants:
        objects[tenant.domain] = replace(tenant, extensions={})
        objects |= {f"{tenant.domain}/{number}": one for number, one in tenant.extensions.items()}
    return objects
