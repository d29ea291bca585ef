"""Tenants and extensions in the store: settings as JSON, HA1 sealed for the place where it stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from pbx.config_table import Problem
from pbx.errors import SecretError
from pbx.secrets import Sealer
from pbx.store.base import TenantChanges
from pbx.store.schema import extensions, tenants
from pbx.tenants import ExtensionConfig, FeaturesConfig, TenantConfig
from pbx.tls import PairConfig


def save(connection: Connection, wanted: Sequence[TenantConfig], sealer: Sealer) -> TenantChanges:
    """Make the tables hold exactly `wanted`; rows that are the same stay untouched."""
    tenant_rows = {tenant.domain: _tenant_row(tenant, place) for place, tenant in enumerate(wanted)}
    stored_tenants = {row["tenant"]: dict(row) for row in connection.execute(select(tenants)).mappings()}
    wanted_extensions = {
        (tenant.domain, extension.number): extension for tenant in wanted for extension in tenant.extensions.values()
    }
    stored_extensions = _stored_extensions(connection, sealer)
    differing = {key: value for key, value in wanted_extensions.items() if stored_extensions.get(key) != value}
    added, changed, removed = _compare(tenant_rows, stored_tenants)
    extensions_gone = stored_extensions.keys() - wanted_extensions.keys()

    _upsert(connection, tenants, [tenant_rows[domain] for domain in (*added, *changed)])
    _upsert(connection, extensions, [_extension_row(key, value, sealer) for key, value in differing.items()])
    for domain in removed:
        connection.execute(delete(tenants).where(tenants.c.tenant == domain))
    for domain, number in extensions_gone:
        gone = (extensions.c.tenant == domain) & (extensions.c.number == number)
        connection.execute(delete(extensions).where(gone))
    return TenantChanges(
        added=(*added, *("/".join(key) for key in differing if key not in stored_extensions)),
        changed=(*changed, *("/".join(key) for key in differing if key in stored_extensions)),
        removed=(*removed, *("/".join(key) for key in sorted(extensions_gone))),
    )


def load(connection: Connection, sealer: Sealer) -> tuple[TenantConfig, ...]:
    """Every stored tenant with its extensions.

    Raises: SecretError.
    """
    members: dict[str, dict[str, ExtensionConfig]] = {}
    for row in connection.execute(select(extensions).order_by(extensions.c.number)):
        members.setdefault(row.tenant, {})[row.number] = _extension(row, sealer)
    return tuple(
        _tenant(row.tenant, json.loads(row.settings), members.get(row.tenant, {}))
        for row in connection.execute(select(tenants).order_by(tenants.c.position))
    )


def _compare(wanted: dict[str, Any], stored: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    added = [key for key in wanted if key not in stored]
    changed = [key for key, value in wanted.items() if key in stored and stored[key] != value]
    removed = sorted(stored.keys() - wanted.keys())
    return added, changed, removed


def _upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table).prefix_with("OR REPLACE"), rows)


def _stored_extensions(connection: Connection, sealer: Sealer) -> dict[tuple[str, str], ExtensionConfig | None]:
    """What is there; None for one whose secrets another key sealed, so that it is written anew."""
    found: dict[tuple[str, str], ExtensionConfig | None] = {}
    for row in connection.execute(select(extensions)):
        try:
            found[row.tenant, row.number] = _extension(row, sealer)
        except SecretError:
            found[row.tenant, row.number] = None
    return found


def _tenant_row(tenant: TenantConfig, place: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"digest": tenant.digest, "features": dataclasses.asdict(tenant.features)}
    if tenant.tls is not None:
        settings["tls"] = {"certificate": tenant.tls.certificate, "key": tenant.tls.key}
    return {"tenant": tenant.domain, "position": place, "settings": json.dumps(settings)}


def _tenant(domain: str, settings: dict[str, Any], members: dict[str, ExtensionConfig]) -> TenantConfig:
    features = FeaturesConfig(**settings["features"])
    return TenantConfig(domain, tuple(settings["digest"]), members, features, tls=_pair(domain, settings))


def _pair(domain: str, settings: dict[str, Any]) -> PairConfig | None:
    tls = settings.get("tls")
    if tls is None:
        return None
    certificate, key = (Problem("the store", 1, f"tenant.{domain}.tls.{name}", "") for name in ("certificate", "key"))
    return PairConfig(tls["certificate"], tls["key"], (certificate, key))


def _extension_row(key: tuple[str, str], extension: ExtensionConfig, sealer: Sealer) -> dict[str, Any]:
    settings = {
        "name": extension.name,
        "digest": extension.digest,
        "max_calls": extension.max_calls,
        "ring_s": extension.ring_s,
    }
    domain, number = key
    secrets = sealer.seal(json.dumps(extension.ha1), key)
    return {"tenant": domain, "number": number, "settings": json.dumps(settings), "secrets": secrets}


def _extension(row: Any, sealer: Sealer) -> ExtensionConfig:
    settings = json.loads(row.settings)
    secrets = json.loads(sealer.open(row.secrets, (row.tenant, row.number)))
    return ExtensionConfig(
        number=row.number,
        name=settings["name"],
        digest=tuple(settings["digest"]),
        max_calls=settings["max_calls"],
        ring_s=settings["ring_s"],
        ha1=tuple((algorithm, value) for algorithm, value in secrets),
    )
