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


def reload_row(old: Config, new: Config, *, applied: bool) -> Row:
    """The answer of `voipat reload`."""
    changes = tenant_changes(old, new)
    waiting = needs_restart(old, new)
    server = [
        f"server.{key.name}"
        for key in fields(ServerConfig)
        if getattr(old.server, key.name) != getattr(new.server, key.name) and f"server.{key.name}" not in waiting
    ]
    return {
        "applied": applied,
        "added": list(changes.added),
        "changed": [*server, *changes.changed],
        "removed": list(changes.removed),
        "needs_restart": list(waiting),
    }


def _objects(config: Config) -> dict[str, TenantConfig | ExtensionConfig]:
    objects: dict[str, TenantConfig | ExtensionConfig] = {}
    for tenant in config.tenants:
        objects[tenant.domain] = replace(tenant, extensions={})
        objects |= {f"{tenant.domain}/{number}": one for number, one in tenant.extensions.items()}
    return objects
