"""Tenants and extensions in the store: settings as JSON, HA1 sealed for the place where it stands."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from pbx.config_table import Problem
from pbx.errors import SecretError
from pbx.objects import shape
from pbx.objects.features import FeaturesConfig
from pbx.objects.media import MediaKeys, media_values
from pbx.objects.plan import plain_plan, restore_plan, secrets_of_plan
from pbx.secrets import Sealer
from pbx.store.schema import extensions, tenants
from pbx.tenant_changes import TenantChanges, changes_of, objects_of
from pbx.tenants import ExtensionConfig, TenantConfig
from pbx.tls import PairConfig
from pbx.trunk_text import plain_trunk, restore_trunks

_Placed = tuple[int, TenantConfig]


def save(connection: Connection, wanted: Sequence[TenantConfig], sealer: Sealer) -> TenantChanges:
    """Make the tables hold exactly `wanted`; rows that are the same stay untouched."""
    stored = _stored_tenants(connection, sealer)
    places = {tenant.domain: place for place, tenant in enumerate(wanted)}
    wanted_tenants = {tenant.domain: (places[tenant.domain], _own(tenant)) for tenant in wanted}
    wanted_extensions = {
        (tenant.domain, extension.number): extension for tenant in wanted for extension in tenant.extensions.values()
    }
    stored_extensions = _stored_extensions(connection, sealer)
    differing = {key: value for key, value in wanted_extensions.items() if stored_extensions.get(key) != value}
    rewritten = [domain for domain, own in wanted_tenants.items() if stored.get(domain) != own]

    rows = [_tenant_row(tenant, places[tenant.domain], sealer) for tenant in wanted if tenant.domain in rewritten]
    _upsert(connection, tenants, rows)
    _upsert(connection, extensions, [_extension_row(key, value, sealer) for key, value in differing.items()])
    for domain in sorted(stored.keys() - wanted_tenants.keys()):
        connection.execute(delete(tenants).where(tenants.c.tenant == domain))
    for domain, number in stored_extensions.keys() - wanted_extensions.keys():
        gone = (extensions.c.tenant == domain) & (extensions.c.number == number)
        connection.execute(delete(extensions).where(gone))
    return changes_of(_objects(stored, stored_extensions), _objects(wanted_tenants, wanted_extensions))


def load(connection: Connection, sealer: Sealer) -> tuple[TenantConfig, ...]:
    """Every stored tenant with its extensions.

    Raises: SecretError.
    """
    members: dict[str, dict[str, ExtensionConfig]] = {}
    for row in connection.execute(select(extensions).order_by(extensions.c.number)):
        members.setdefault(row.tenant, {})[row.number] = _extension(row, sealer)
    return tuple(
        _tenant(row, members.get(row.tenant, {}), sealer)
        for row in connection.execute(select(tenants).order_by(tenants.c.position))
    )


def _objects(own: Mapping[str, _Placed | None], members: Mapping[tuple[str, str], object]) -> dict[str, object]:
    """Every object by its key; one that cannot be read differs from every other."""
    objects: dict[str, object] = {}
    for domain, placed in own.items():
        objects |= {domain: None} if placed is None else objects_of(placed[1])
    return objects | {"/".join(key): extension for key, extension in members.items()}


def _own(tenant: TenantConfig) -> TenantConfig:
    """The tenant without its extensions, which are rows of their own, and without what the store does not keep."""
    return dataclasses.replace(tenant, extensions={}, trace=True, tls=_stored_pair(tenant))


def _stored_tenants(connection: Connection, sealer: Sealer) -> dict[str, _Placed | None]:
    """Place and own settings of each; None for one whose secrets another key sealed."""
    found: dict[str, _Placed | None] = {}
    for row in connection.execute(select(tenants)):
        try:
            found[row.tenant] = row.position, _tenant(row, {}, sealer)
        except SecretError:
            found[row.tenant] = None
    return found


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


def _tenant_row(tenant: TenantConfig, place: int, sealer: Sealer) -> dict[str, Any]:
    settings: dict[str, Any] = {"digest": tenant.digest, "features": shape.plain(tenant.features)}
    if tenant.tls is not None:
        settings["tls"] = {"certificate": tenant.tls.certificate, "key": tenant.tls.key}
    if media := shape.plain(tenant):
        settings["media"] = media
    if plan := plain_plan(tenant.plan, secrets=False):
        settings["plan"] = plan
    secrets: dict[str, Any] = {"plan": secrets_of_plan(tenant.plan), "trunk": list(map(plain_trunk, tenant.trunks))}
    if any(secrets.values()):
        sealed = sealer.seal(json.dumps(secrets), (tenant.domain, "plan"))
        settings["sealed"] = b64encode(sealed).decode()
    return {"tenant": tenant.domain, "position": place, "settings": json.dumps(settings)}


def _tenant(row: Any, members: dict[str, ExtensionConfig], sealer: Sealer) -> TenantConfig:
    settings = json.loads(row.settings)
    secrets: dict[str, Any] = {}
    if (sealed := settings.get("sealed")) is not None:
        secrets = json.loads(sealer.open(b64decode(sealed), (row.tenant, "plan")))
    keys = shape.restore(MediaKeys, settings.get("media", {}))
    return TenantConfig(
        row.tenant,
        tuple(settings["digest"]),
        members,
        shape.restore(FeaturesConfig, settings["features"]),
        tls=_pair(row.tenant, settings.get("tls")),
        trunks=restore_trunks(secrets.get("trunk", ())),
        plan=restore_plan(settings.get("plan", {}), secrets.get("plan", {})),
        **media_values(keys),
    )


def _stored_pair(tenant: TenantConfig) -> PairConfig | None:
    """The certificate as the store has it: without the place in the file."""
    tls = tenant.tls
    return None if tls is None else _pair(tenant.domain, {"certificate": tls.certificate, "key": tls.key})


def _pair(domain: str, tls: Mapping[str, str] | None) -> PairConfig | None:
    if tls is None:
        return None
    certificate, key = (Problem("the store", 1, f"tenant.{domain}.tls.{name}", "") for name in ("certificate", "key"))
    return PairConfig(tls["certificate"], tls["key"], (certificate, key))


def _extension_row(key: tuple[str, str], extension: ExtensionConfig, sealer: Sealer) -> dict[str, Any]:
    settings = {"digest": extension.digest, **shape.plain(extension, secrets=False)}
    domain, number = key
    secrets = json.dumps({"ha1": extension.ha1, **shape.secrets_of(extension)})
    sealed = sealer.seal(secrets, key)
    return {"tenant": domain, "number": number, "settings": json.dumps(settings), "secrets": sealed}


def _extension(row: Any, sealer: Sealer) -> ExtensionConfig:
    settings = json.loads(row.settings)
    secrets = json.loads(sealer.open(row.secrets, (row.tenant, row.number)))
    if isinstance(secrets, list):  # as schema version 1 wrote them
        secrets = {"ha1": secrets}
    return shape.restore(
        ExtensionConfig,
        settings,
        secrets,
        number=row.number,
        digest=tuple(settings["digest"]),
        ha1=tuple((algorithm, value) for algorithm, value in secrets["ha1"]),
    )
