"""What `voipat list`, `show`, `set`, `apply` and `export` do, over the daemon's tenants or a store's.

An object is named as a reload names it: `office.test/1001`, `office.test/menu/500`, `office.test/limits`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pbx import config
from pbx.control import ControlError
from pbx.export import plain_extension, plain_tenant, toml_of
from pbx.objects import shape
from pbx.objects.groups import Queue
from pbx.objects.people import FORWARDS
from pbx.objects.plan import KINDS, SINGLES
from pbx.objects.times import Times
from pbx.output import Row
from pbx.queue_figures import shown_days
from pbx.tenant_changes import TenantChanges, changes_of, objects_of
from pbx.tenant_state import OVERRIDE, SET_BY_HAND, SWITCHES, UNTIL, LiveState, TenantState, effective
from pbx.tenants import ExtensionConfig, TenantConfig
from pbx.trunk_text import plain_trunk

USAGE: Final = 2
NOT_THERE: Final = 3
KIND_NAMES: Final = ("tenant", "extension", "features", *KINDS, "trunk", *SINGLES)
_HIDDEN: Final = "(set)"


def list_rows(tenants: Sequence[TenantConfig], state: LiveState, kind: str, tenant: str | None) -> Iterator[Row]:
    """One row for each object of a kind."""
    if kind not in KIND_NAMES:
        raise ControlError(f"there is no kind {kind!r}, known: {', '.join(KIND_NAMES)}", exit_status=USAGE)
    for one in tenants:
        if tenant in (None, one.domain):
            for name, values in _of_kind(one, kind, state):
                yield {"tenant": one.domain, "object": name, **values}


def show_row(tenants: Sequence[TenantConfig], state: LiveState, name: str) -> Row:
    """One object with all its keys. Raises: ControlError when there is none of this name."""
    for one in tenants:
        if name == one.domain:
            kinds = {kind: sum(1 for _ in _of_kind(one, kind, state)) for kind in KIND_NAMES[1:]}
            return {"object": name, **{kind: count for kind, count in kinds.items() if count}}
        for kind in KIND_NAMES[1:]:
            for found, values in _of_kind(one, kind, state, every=True):
                if found == name:
                    return {"object": found, **values}
    raise ControlError(
        f"there is no object {name}; `voipat list` prints names: TENANT, TENANT/EXTENSION or TENANT/KIND/NAME",
        exit_status=NOT_THERE,
    )


def set_state(tenants: Sequence[TenantConfig], state: LiveState, name: str, key: str, value: str | None) -> Row:
    """Set a forward, do-not-disturb or hours by hand; None goes back to the configuration. Raises: ControlError."""
    domain, _, rest = name.partition("/")
    found = next((one for one in tenants if one.domain == domain), None)
    if found is None:
        raise ControlError(f"there is no tenant {domain}", exit_status=NOT_THERE)
    kept = state.tenant(domain)
    if (extension := found.extensions.get(rest)) is not None:
        kept.set(rest, key, _checked(found, extension, key, value))
        return {"object": name, **effective(kept, extension)}
    kind, _, called = rest.partition("/")
    times = next((one for one in found.plan.times if kind == "times" and one.name == called), None)
    if times is not None and key == OVERRIDE:
        _override(found, kept, times, value)
        return {"object": name, OVERRIDE: shown_override(found, kept, times)}
    raise ControlError(f"there is no object {name} with a key {key} that can be set", exit_status=NOT_THERE)


def _override(tenant: TenantConfig, kept: TenantState, times: Times, value: str | None) -> None:
    """`open`, `closed`, each with ` until 2026-12-24 18:00` where the hours are counted, or None."""
    if value is None:
        kept.turn_back(times)
        return
    word, _, until = value.partition(UNTIL)
    try:
        end = _moment(until, _zone_of(tenant, times)) if until else None
        is_open = {"open": True, "closed": False}[word]
    except (ValueError, KeyError):
        allowed = "open, closed, either with a moment such as 'closed until 2026-12-24 18:00', or unset"
        raise ControlError(f"override is {allowed}", exit_status=USAGE) from None
    kept.set_override(times, is_open=is_open, until=end)


def _moment(text: str, zone: ZoneInfo) -> float:
    """The wallclock of a local date and time. Raises: ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("the zone is that of the hours")
    return found.replace(tzinfo=zone).timestamp()


def shown_override(tenant: TenantConfig, kept: TenantState, times: Times) -> str | None:
    """How hours are turned over by hand, as `voipat set` takes it; None: not at all."""
    word, _, until = (kept.get(f"times/{times.name}", OVERRIDE) or "").partition(UNTIL)
    if not until:
        return word or None
    return f"{word}{UNTIL}{datetime.fromtimestamp(float(until), _zone_of(tenant, times)):%Y-%m-%d %H:%M}"


def _zone_of(tenant: TenantConfig, times: Times) -> ZoneInfo:
    return ZoneInfo(times.time_zone or tenant.plan.settings.time_zone)


def parse_tenants(text: str, file: str, listen: Sequence[str]) -> tuple[TenantConfig, ...]:
    """The tenants of a file, for a server that listens there. Raises: ConfigError."""
    return config.parse(text, _listening(listen), file=file, environ={"HOME": "/"}).tenants


def diff(before: Sequence[TenantConfig], after: Sequence[TenantConfig]) -> TenantChanges:
    """What applying `after` changes."""
    return changes_of(_all(before), _all(after))


def with_key(
    tenants: Sequence[TenantConfig], name: str, key: str, value: str, listen: Sequence[str]
) -> tuple[TenantConfig, ...]:
    """The tenants with one key of one object changed, read through the same checks as a file.

    Raises: ControlError, ConfigError.
    """
    text = "\n".join(toml_of(tenants))
    path = _path_of(tomllib.loads(text), name)
    settings = [f"{path}.{key}={value}", *_listening(listen)]
    return config.parse(text, settings, file="the store", environ={"HOME": "/"}).tenants


def _listening(listen: Sequence[str]) -> list[str]:
    return [f"server.listen={','.join(listen)}"] if listen else []


def _all(tenants: Sequence[TenantConfig]) -> dict[str, object]:
    return {key: one for tenant in tenants for key, one in objects_of(tenant).items()}


def _path_of(document: Mapping[str, Any], name: str) -> str:
    """The key of `--set` that an object's name stands for."""
    domain, _, rest = name.partition("/")
    if not any(tenant["domain"] == domain for tenant in document.get("tenant", ())):
        raise ControlError(f"there is no tenant {domain}", exit_status=NOT_THERE)
    kind, slash, own = rest.partition("/")
    if not rest:
        return f"tenant.{domain}"
    if not slash:
        return (
            f"tenant.{domain}.{rest}" if rest in SINGLES or rest == "features" else f"tenant.{domain}.extension.{rest}"
        )
    return f"tenant.{domain}.{kind}.{own}"


def _of_kind(
    tenant: TenantConfig, kind: str, state: LiveState, *, every: bool = False
) -> Iterator[tuple[str, dict[str, object]]]:
    domain = tenant.domain
    if kind == "tenant":
        settings = plain_tenant(tenant)
        plain = {key: value for key, value in settings.items() if not isinstance(value, dict | list)}
        yield domain, {**plain, "extensions": len(tenant.extensions)}
    elif kind == "extension":
        for number, extension in tenant.extensions.items():
            values = _public(extension, plain_extension(extension, tenant, secrets=False), every=every)
            yield f"{domain}/{number}", {**values, **effective(state.tenant(domain), extension)}
    elif kind == "features":
        yield f"{domain}/features", _public(tenant.features, {}, every=every)
    elif kind == "trunk":
        for trunk in tenant.trunks:
            values = plain_trunk(trunk)
            yield f"{domain}/trunk/{trunk.name}", {**values, **({"password": _HIDDEN} if trunk.password else {})}
    elif kind in SINGLES:
        yield f"{domain}/{kind}", _public(getattr(tenant.plan, kind), {}, every=every)
    else:
        _, key = KINDS[kind]
        for one in tenant.plan.of_kind(kind):
            values = _public(one, {}, every=every)
            if every and isinstance(one, Queue):
                values["figures"] = shown_days(state.tenant(domain), one.number)
            elif isinstance(one, Times):
                values[OVERRIDE] = shown_override(tenant, state.tenant(domain), one)
            yield f"{domain}/{kind}/{getattr(one, key)}", values


def _public(one: Any, values: dict[str, object], *, every: bool) -> dict[str, object]:
    """The keys of an object without its secrets; with `every` its defaults too."""
    found = dict(values) or shape.plain(one, secrets=False)
    for name, how, _ in shape.declared(type(one)) if every else ():
        if how.secret:
            found[name] = _HIDDEN if getattr(one, name) else ""
        elif how.shape is None and name not in found:
            value = getattr(one, name)
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _checked(tenant: TenantConfig, extension: ExtensionConfig, key: str, value: str | None) -> str | None:
    if key not in SET_BY_HAND:
        raise ControlError(f"{key} cannot be set by hand, known: {', '.join(SET_BY_HAND)}", exit_status=USAGE)
    if value is None or (key not in SWITCHES and value == ""):
        return value
    if key in SWITCHES:
        if value not in ("on", "off"):
            raise ControlError(f"{key} is on or off", exit_status=USAGE)
        return value
    if key.partition(".")[2] in FORWARDS and (value == extension.number or len(value) > 40):
        raise ControlError(f"{value!r} is no target of a forward", exit_status=USAGE)
    return value
