"""What a User-Agent says of the device: vendor, model, firmware. What no rule knows is kept as it came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Device:
    """Empty texts where the User-Agent does not say."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""


# Each begins as the vendor's phones do; the groups are model and firmware. First match wins.
_RULES: Final = tuple(
    (vendor, re.compile(pattern, re.ASCII | re.IGNORECASE))
    for vendor, pattern in (
        ("Yealink", r"yealink\s+(?:sip[- ])?(?P<model>[\w-]+)(?:\s+(?P<firmware>[\d.]+))?"),
        (
            "Polycom",
            r"poly(?:com)?[/ ]?(?:soundpointip-|vvx-)?(?P<model>[\w+-]+?)(?:-UA)?[/ ](?P<firmware>[\d.]+)",
        ),
        (
            "Cisco",
            r"cisco(?:[/-]|\s)(?:cp-|ata\s?)?(?P<model>[\w-]+?)(?:[/-](?P<firmware>[\w.()-]*\d[\w.()-]*))?(?:\s|$)",
        ),
        ("Cisco", r"(?:linksys|sipura)[/-](?:spa)?(?P<model>\w+)-(?P<firmware>[\w.()]+)"),
        ("Snom", r"snom(?P<model>[\w-]+)/(?P<firmware>[\d.]+)"),
        ("Grandstream", r"grandstream\s+(?P<model>[\w-]+)(?:\s+(?:v)?(?P<firmware>[\d.]+))?"),
        ("Fanvil", r"fanvil\s+(?P<model>[\w-]+)\s+(?P<firmware>[\d.]+)"),
        ("Gigaset", r"(?:gigaset\s+)?(?P<model>(?:N|S|C|DX)\d{3}[\w ]*?(?:IP)?(?: PRO)?)[/ ](?P<firmware>\d[\d.]+)"),
        ("AVM", r"(?:avm\s+)?fritz!?box\s+(?P<model>.+?)\s+(?P<firmware>\d+\.\d[\d.]*)"),
        ("Mitel", r"(?:aastra|mitel)[ -](?P<model>[\w-]+)/(?P<firmware>[\d.]+)"),
        ("Panasonic", r"panasonic[-_](?P<model>[\w-]+?)/(?P<firmware>[\d.]+)"),
        ("Htek", r"htek\s+(?P<model>[\w-]+)\s+(?P<firmware>[\d.]+)"),
        ("Zoiper", r"(?:z |zoiper )(?P<model>)(?:rv?)?(?P<firmware>[\w.]+)"),
        ("Linphone", r"linphone(?P<model>[\w-]*)?(?:/(?P<firmware>[\w.-]+))?"),
        ("baresip", r"(?P<model>baresip)\s+v?(?P<firmware>[\d.]+)"),
        ("Asterisk", r"(?P<model>asterisk pbx|fpbx)[- ]?(?P<firmware>[\d.]+)?"),
        ("FreeSWITCH", r"freeswitch(?P<model>)[-/\w]*?(?P<firmware>\d[\d.]*)"),
        ("MicroSIP", r"(?P<model>microsip)/(?P<firmware>[\d.]+)"),
        ("Bria", r"(?P<model>(?:bria|x-lite|eyebeam)[\w ]*?)\s+release\s+(?P<firmware>[\w.]+)"),
        ("Jitsi", r"(?P<model>jitsi)(?P<firmware>[\d.]+)"),
        ("PJSIP", r"(?P<model>pjsua|pjsip)\s+v?(?P<firmware>[\d.]+)"),
        ("JsSIP", r"(?P<model>jssip)\s+(?P<firmware>[\d.]+)"),
    )
)


def device_of(user_agent: str) -> Device:
    """The device that a User-Agent names; nothing of it when no rule knows its kind."""
    for vendor, pattern in _RULES:
        match = pattern.match(user_agent)
        if match is not None:
            return Device(vendor, (match["model"] or "").strip(), match["firmware"] or "")
    return Device()
