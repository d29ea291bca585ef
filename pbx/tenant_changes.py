"""A tenant's objects by key, and what differs between two sets of them.

Keys: "domain" for what is the tenant's own, "domain/1001" an extension, "domain/menu/500" an object of a kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pbx.objects.features import FeaturesConfig
from pbx.objects.media import media_values
from pbx.objects.plan import KINDS, SINGLES
from pbx.tenants import TenantConfig


@dataclass(frozen=True, slots=True)
class TenantChanges:
    """The keys of what came, changed and went."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def changes_of(before: Mapping[str, object], after: Mapping[str, object]) -> TenantChanges:
    """What differs, each in the order of its side."""
    return TenantChanges(
        added=tuple(key for key in after if key not in before),
        changed=tuple(key for key in after if key in before and after[key] != before[key]),
        removed=tuple(key for key in before if key not in after),
    )


def objects_of(tenant: TenantConfig) -> dict[str, object]:
    """Every object of the tenant by its key."""
    domain, plan = tenant.domain, tenant.plan
    objects: dict[str, object] = {
        domain: (tenant.digest, tenant.trace, tenant.tls, plan.settings, media_values(tenant))
    }
    if tenant.features != FeaturesConfig():
        objects[f"{domain}/features"] = tenant.features
    objects |= {f"{domain}/{number}": one for number, one in tenant.extensions.items()}
    for kind, (_, key) in KINDS.items():
        seen: Counter[str] = Counter()
        for one in plan.of_kind(kind):
            name = getattr(one, key)
            seen[name] += 1
            again = f"#{seen[name]}" if seen[name] > 1 else ""
            objects[f"{domain}/{kind}/{name}{again}"] = one
    objects |= {f"{domain}/trunk/{trunk.name}": trunk for trunk in tenant.trunks}
    for kind, single in SINGLES.items():
        if (one := getattr(plan, kind)) != single():
            objects[f"{domain}/{kind}"] = one
    return objects
