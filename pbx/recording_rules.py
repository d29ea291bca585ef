"""Which side of a conversation is recorded, by which rule. Nothing is recorded by itself (P-8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pbx.directory import Directory
from pbx.objects.lines import RecordingRule
from pbx.tenants import ExtensionConfig, TenantConfig
from voipat import Bridge, Call, TrunkIdentity

NOTICE: Final = "record-notice"
# Of an extension with `record = "always"` that no rule names.
BY_EXTENSION: Final = RecordingRule("extension", announcement=NOTICE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The side that is recorded, and the extension whose it is."""

    leg: Call
    owner: str
    rule: RecordingRule


def extension_of(directory: Directory, leg: Call) -> ExtensionConfig | None:
    """The extension whose phone this leg goes to; None for trunks and strangers."""
    return directory.extension(leg.tenant, leg.own_number) if leg.may_refer else None


def recorded_side(
    config: TenantConfig, bridge: Bridge, extensions: Mapping[Call, ExtensionConfig | None]
) -> Recorded | None:
    """The first rule that wants the conversation, then an extension that is always recorded; None: nobody is.

    `extensions` are those of both legs, by `extension_of`.
    """
    sides = [(leg, extensions[leg]) for leg in (bridge.b_leg, bridge.a_leg)]
    for rule in config.plan.recordings:
        if rule.direction not in ("any", _direction(bridge)):
            continue
        for leg, extension in sides:
            number = "" if extension is None else extension.number
            if number in rule.extensions or _trunk_of(leg) in rule.trunks:
                return Recorded(leg, number, rule)
        if bridge.a_leg.variables.get("queue") in rule.queues:
            leg, extension = sides[0]
            return Recorded(leg, "" if extension is None else extension.number, rule)
    for leg, extension in sides:
        if extension is not None and extension.record == "always":
            return Recorded(leg, extension.number, BY_EXTENSION)
    return None


def recorded_objects(config: TenantConfig) -> set[str]:
    """What a tenant's configuration records, or lets be recorded: named in the audit when it begins."""
    extensions = {f"extension/{each.number}" for each in config.extensions.values() if each.record != "never"}
    return extensions | {f"recording/{rule.name}" for rule in config.plan.recordings}


def _direction(bridge: Bridge) -> str:
    if _trunk_of(bridge.a_leg) is not None:
        return "inbound"
    return "internal" if _trunk_of(bridge.b_leg) is None else "outbound"


def _trunk_of(leg: Call) -> str | None:
    if isinstance(leg.identity, TrunkIdentity):
        return leg.identity.trunk
    return leg.variables.get("trunk")
