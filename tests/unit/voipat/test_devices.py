"""The device inventory: real User-Agents are taken apart, hostile ones do no harm (policy P-12)."""

from __future__ import annotations

import json

import pytest

from pbx import status, stored
from pbx.output import Row, json_line, table
from pbx.store.base import BindingRecord
from tests.unit.voipat.test_registrar import Desk
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


HOSTILE = ["", "My own phone/1.0", "x" * 10_000, "\x1b[2J\x00<script>", "snom" + "9" * 10_000, "Z \u202egnp.exe"]


def rows_of(agent: str) -> tuple[Row, Row]:
    """The registration's row as the daemon shows it, and as it is shown out of the store."""
    desk = Desk()
    answer = desk.register(
        '<sip:alice@10.0.0.1:5062>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1',
        expires="600",
        headers=(("User-Agent", agent), ("Path", "<sip:edge.example;lr>"), ("Supported", "path, outbound")),
    )
    assert answer[0] == 200
    (binding,) = desk.registrar.lookup("example.com", "alice")
    fields = json.loads(json.dumps(binding.to_fields()))
    record = BindingRecord(binding.aor, binding.key, binding.contact, binding.expires_at, fields)
    shown = status.registration_row(binding, desk.now + 40, None)
    return shown, stored.registration_row("example.com", record, desk.now + 40)


@pytest.mark.parametrize(("agent", "vendor", "model", "firmware"), REAL, ids=[row[0] for row in REAL])
def test_a_registration_is_shown_with_its_device(agent: str, vendor: str, model: str, firmware: str) -> None:
    shown, kept = rows_of(agent)
    assert shown == kept
    assert (shown["vendor"], shown["model"], shown["firmware"]) == (vendor, model, firmware)
    assert shown["instance"] == "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
    assert (shown["received"], shown["transport"], shown["expires_s"]) == ("198.51.100.7:40000", "UDP", 560)
    assert shown["user_agent"] == agent


@pytest.mark.parametrize("agent", HOSTILE)
def test_an_unknown_or_hostile_one_is_cut_and_breaks_no_list(agent: str) -> None:
    for row in rows_of(agent):
        assert row["user_agent"] == agent[:128]
        assert {len(str(row[field])) <= 128 for field in ("vendor", "model", "firmware")} == {True}
        assert all(line.isprintable() for line in table([row], list(row)))
        assert json_line(row).isascii() and "\x1b" not in json_line(row)
