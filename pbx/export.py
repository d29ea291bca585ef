"""Tenants as the configuration file writes them: what `voipat export` prints, `voipat apply` reads again.

No password is known here: an extension is written with its HA1, a trunk with the password that it needs to log in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pbx.objects import shape
from pbx.objects.plan import plain_plan
from pbx.tenants import DEFAULT_DIGEST, ExtensionConfig, TenantConfig
from pbx.trunk_text import plain_trunk

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def toml_of(tenants: Iterable[TenantConfig]) -> Iterator[str]:
    """The lines of a file that holds these tenants and nothing else."""
    for tenant in tenants:
        yield from _table_lines(plain_tenant(tenant), ("tenant",), is_list=True)


def plain_tenant(tenant: TenantConfig) -> dict[str, Any]:
    """The tenant as `tomllib` would read it from its file."""
    found: dict[str, Any] = {"domain": tenant.domain}
    if tenant.digest != DEFAULT_DIGEST:
        found["digest"] = list(tenant.digest)
    if not tenant.trace:
        found["trace"] = False
    found |= shape.plain(tenant)
    plan = plain_plan(tenant.plan)
    found |= {key: value for key, value in plan.items() if not isinstance(value, dict | list)}
    if tenant.tls is not None:
        found["tls"] = {"certificate": tenant.tls.certificate, "key": tenant.tls.key}
    if features := shape.plain(tenant.features):
        found["features"] = features
    found |= {key: value for key, value in plan.items() if isinstance(value, dict)}
    if tenant.extensions:
        found["extension"] = [plain_extension(one, tenant) for one in tenant.extensions.values()]
    if tenant.trunks:
        found["trunk"] = [plain_trunk(trunk) for trunk in tenant.trunks]
    return found | {key: value for key, value in plan.items() if isinstance(value, list)}


def plain_extension(extension: ExtensionConfig, tenant: TenantConfig, *, secrets: bool = True) -> dict[str, Any]:
    """The extension as the file has it; without `secrets` it can be shown to anybody."""
    found: dict[str, Any] = {"number": extension.number}
    if extension.digest != tenant.digest:
        found["digest"] = list(extension.digest)
    found |= shape.plain(extension, secrets=secrets)
    if secrets:
        found["ha1"] = dict(extension.ha1)
    return found


def _table_lines(values: Mapping[str, Any], path: tuple[str, ...], *, is_list: bool = False) -> Iterator[str]:
    """A header with its plain keys, then the tables within."""
    name = ".".join(map(_key, path))
    yield f"[[{name}]]" if is_list else f"[{name}]"
    later = []
    for key, value in values.items():
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            later.append((key, value))
        else:
            yield f"{_key(key)} = {_value(value)}"
    yield ""
    for key, value in later:
        for each in value if isinstance(value, list) else [value]:
            yield from _table_lines(each, (*path, key), is_list=isinstance(value, list))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, _sequence(value)))}]"
    return repr(value)


def _sequence(value: Sequence[object]) -> Sequence[object]:
    return value


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL and what is beyond the BMP, which stand as they are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
