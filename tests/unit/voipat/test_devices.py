"""The device inventory: real User-Agents are taken apart, hostile ones do no harm (policy P-12)."""

from __future__ import annotations

import pytest

from pbx.output import json_line, table
from pbx.status import device_fields
from voipat.devices import Device, device_of

REAL = [
    ("Yealink SIP-T46S 66.86.0.15", "Yealink", "T46S", "66.86.0.15"),
    ("Yealink W60B 77.83.0.85", "Yealink", "W60B", "77.83.0.85"),
    ("PolycomVVX-VVX_410-UA/5.9.3.2857", "Polycom", "VVX_410", "5.9.3.2857"),
    ("PolycomSoundPointIP-SPIP_331-UA/3.3.5.0247", "Polycom", "SPIP_331", "3.3.5.0247"),
    ("Cisco-CP8851-3PCC/11.3.1", "Cisco", "CP8851-3PCC", "11.3.1"),
    ("Cisco/SPA504G-7.6.2b", "Cisco", "SPA504G", "7.6.2b"),
    ("Linksys/SPA942-6.1.5(a)", "Cisco", "942", "6.1.5(a)"),
    ("snom370/8.4.35", "Snom", "370", "8.4.35"),
    ("snomD785/10.1.54.13", "Snom", "D785", "10.1.54.13"),
    ("Grandstream GXP2170 1.0.9.135", "Grandstream", "GXP2170", "1.0.9.135"),
    ("Grandstream HT802 1.0.19.11", "Grandstream", "HT802", "1.0.19.11"),
    ("Fanvil X4 2.10.0.6888", "Fanvil", "X4", "2.10.0.6888"),
    ("N510 IP PRO/42.250.00.000.000", "Gigaset", "N510 IP PRO", "42.250.00.000.000"),
    ("AVM FRITZ!Box 7590 154.07.29 (Aug 12 2021)", "AVM", "7590", "154.07.29"),
    ("Aastra 6731i/3.3.1.4358", "Mitel", "6731i", "3.3.1.4358"),
    ("Panasonic-KX-TGP600/13.401", "Panasonic", "KX-TGP600", "13.401"),
    ("Z 5.5.9 v2.10.17.2", "Zoiper", "", "5.5.9"),
    ("LinphoneAndroid/4.6.1", "Linphone", "Android", "4.6.1"),
    ("baresip v1.0.0 (x86_64/linux)", "baresip", "baresip", "1.0.0"),
    ("Asterisk PBX 18.10.0", "Asterisk", "Asterisk PBX", "18.10.0"),
    ("FreeSWITCH-mod_sofia/1.10.7-release", "FreeSWITCH", "", "1.10.7"),
    ("MicroSIP/3.21.3", "MicroSIP", "MicroSIP", "3.21.3"),
    ("Bria 4 release 4.7.1", "Bria", "Bria 4", "4.7.1"),
    ("PJSUA v2.12 Linux-5.10", "PJSIP", "PJSUA", "2.12"),
]


@pytest.mark.parametrize(("agent", "vendor", "model", "firmware"), REAL, ids=[row[0] for row in REAL])
def test_a_real_user_agent_is_taken_apart(agent: str, vendor: str, model: str, firmware: str) -> None:
    assert device_of(agent) == Device(vendor, model, firmware)


@pytest.mark.parametrize("agent", ["", "My own phone/1.0", "x" * 10_000, "\x1b[2J\x00<script>", "snom" + "9" * 10_000])
def test_an_unknown_or_hostile_one_is_kept_as_it_came_and_breaks_no_list(agent: str) -> None:
    row = {"user_agent": agent, **device_fields(agent, "")}
    assert row["user_agent"] == agent
    assert all(line.isprintable() for line in table([row], list(row)))
    assert json_line(row).isascii() and "\x1b" not in json_line(row)
