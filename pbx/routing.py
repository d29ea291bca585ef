"""Where a number goes: a pure function of the directory's snapshot, the caller's tenant and what was dialled."""

from __future__ import annotations

from pbx.directory import Directory
from pbx.tenants import ExtensionConfig
from sipcore.values import value_object
from voipat import reasons
from voipat.reasons import Reason


@value_object(frozen=True, slots=True)
class ToExtension:
    """Ring the phones of an extension."""

    extension: ExtensionConfig


@value_object(frozen=True, slots=True)
class ToEcho:
    """The echo test."""


@value_object(frozen=True, slots=True)
class NoRoute:
    """Nowhere, and why."""

    reason: Reason


Route = ToExtension | ToEcho | NoRoute


def route(directory: Directory, tenant: str, number: str, host: str) -> Route:
    """The destination of `number`, dialled by a user of `tenant` as `number@host`.

    Another tenant's domain is as unknown as any other (security.md H12).
    """
    if host.lower() != tenant or not directory.serves(tenant):
        return NoRoute(reasons.UNKNOWN_NUMBER)
    found = directory.tenant(tenant)
    if found.features.echo is not None and number == found.features.echo:
        return ToEcho()
    extension = found.extensions.get(number)
    return NoRoute(reasons.UNKNOWN_NUMBER) if extension is None else ToExtension(extension)
