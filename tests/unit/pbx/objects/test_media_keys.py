"""Encryption and codecs as the configuration says them: the nearest key counts, and what cannot work is a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from media.plugins import plugin_functions
from pbx import config
from pbx.directory import Directory
from pbx.errors import ConfigError
from pbx.export import toml_of
from pbx.media_warnings import media_warnings
from pbx.store.sqlite import SqliteStore
from sipcore.sdp_security import SrtpPolicy
from voipat import SrtpRules

TEXT = """
[server]
srtp = "required"
srtp_exchange = "dtls"
codecs = ["PCMA"]
[[tenant]]
domain = "office.test"
sdes_over_plain = true
dtmf_info = false
srtp_suites = ["AES_CM_128_HMAC_SHA1_80"]
[[tenant.extension]]
number = "1001"
password = "long enough"
srtp = "off"
sdes_over_plain = false
dtmf_info = true
[[tenant.extension]]
number = "1002"
password = "long enough"
codecs = ["g729", "OPUS", "pcmu"]
[[tenant.trunk]]
name = "carrier"
host = "192.0.2.1"
srtp = "optional"
[[tenant]]
domain = "shop.test"
"""
SUITE = ("AES_CM_128_HMAC_SHA1_80",)


def directory(text: str = TEXT) -> Directory:
    loaded = config.parse(text, environ={})
    return Directory(loaded.tenants, media=loaded.server)


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, overrides, file="f", environ={})
    return [str(problem) for problem in caught.value.problems]


def test_each_key_is_that_of_the_nearest_place() -> None:
    found = directory()
    required, off, optional = SrtpPolicy.REQUIRED, SrtpPolicy.OFF, SrtpPolicy.OPTIONAL
    assert found.media_of_extension("office.test", "1001").srtp == SrtpRules(off, False, "dtls", SUITE)
    assert found.media_of_extension("office.test", "1002").srtp == SrtpRules(required, True, "dtls", SUITE)
    assert found.media_of_extension("office.test", "1002").codecs == ("G729", "opus", "PCMU")
    assert found.media_of_extension("office.test", "+1202").codecs == ("PCMA",), "a stranger, as the tenant says"
    assert found.media_of_extension("shop.test", "1001").srtp == SrtpRules(required, False, "dtls")
    assert found.media_of_extension("", "").srtp == SrtpRules(required, False, "dtls")
    assert found.media_of_extension("office.test", "1001").dtmf_info
    assert not found.media_of_extension("office.test", "1002").dtmf_info
    assert not found.media_of_trunk("office.test", "carrier").dtmf_info
    assert found.media_of_extension("shop.test", "1001").dtmf_info, "digits by INFO are taken unless something says no"
    assert found.media_of_trunk("office.test", "carrier").srtp == SrtpRules(optional, True, "dtls", SUITE)


def test_without_a_key_encryption_is_optional_and_every_codec_is_allowed() -> None:
    found = Directory(config.parse('[[tenant]]\ndomain = "a.test"', environ={}).tenants)
    leg = found.media_of_extension("a.test", "1")
    assert (leg.srtp, leg.codecs) == (SrtpRules(SrtpPolicy.OPTIONAL, False, "sdes"), ())


def test_the_keys_survive_the_store_and_the_export(tmp_path: Path) -> None:
    tenants = config.parse(TEXT, environ={}).tenants
    store = SqliteStore.open(tmp_path, wallclock=lambda: 1.0)
    store.save_tenants(tenants)
    assert store.load_tenants() == tenants
    assert store.save_tenants(tenants).changed == ()
    store.close()
    assert config.parse("\n".join(toml_of(tenants)), environ={}).tenants == tenants


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("server.srtp=maybe", "server.srtp: 'maybe' is not allowed, give one of 'off', 'optional', 'required'"),
        ("server.srtp_exchange=zrtp", "server.srtp_exchange: 'zrtp' is not allowed, give one of 'sdes', 'dtls'"),
        ("tenant.office.test.srtp_suites=F8", "tenant.office.test.srtp_suites[0]: 'F8' is not allowed, give one of"),
        ("server.dtmf_info=rfc4733", "server.dtmf_info: 'rfc4733' is not allowed, give true or false"),
        ("tenant.office.test.dtmf_info=no", "tenant.office.test.dtmf_info: 'no' is not allowed, give true or false"),
        ("tenant.office.test.codecs=PCMU,pcmu", "tenant.office.test.codecs: names one of them twice"),
        ("tenant.office.test.codecs=[]", "tenant.office.test.codecs: an empty list is not allowed"),
        ("tenant.office.test.codecs=MP3", "tenant.office.test.codecs[0]: 'MP3' is not allowed, give one of 'PCMU'"),
        ("tenant.office.test.codecs=G723", "tenant.office.test.codecs: names none that voipat itself can speak"),
        ("tenant.office.test.extension.1001.srtp=on", "tenant.office.test.extension.1001.srtp: 'on' is not allowed"),
        (
            "tenant.office.test.trunk.carrier.sdes_over_plain=1",
            "tenant.office.test.trunk[0].sdes_over_plain: '1' is not",
        ),
    ],
)
def test_what_cannot_work_is_told_with_what_is_allowed(override: str, said: str) -> None:
    (fault,) = faults(TEXT, override)
    assert fault.startswith(f"--set:1: {said}"), fault


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('srtp = "required"\nsrtp_exchange = "sdes"', "is offered DTLS-SRTP alone"),
        ('srtp = "optional"\nsdes_over_plain = true', "keys in SDP go over udp"),
        ('srtp = "off"\nsdes_over_plain = true', None),
        ('srtp = "required"\nsdes_over_plain = true\ntransport = "tls"', None),
    ],
)
def test_a_trunk_over_plain_signalling_is_warned_of(keys: str, said: str | None) -> None:
    text = f'[[tenant]]\ndomain = "a.test"\n[[tenant.trunk]]\nname = "carrier"\nhost = "192.0.2.1"\n{keys}\n'
    loaded = config.parse(text, environ={})
    found = list(media_warnings(loaded.server, loaded.tenants))
    assert len(found) == (said is not None) and all(str(said) in warning for warning in found)


def test_a_codec_without_its_library_is_told_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin_functions.cache_clear()
    monkeypatch.setenv("VOIPAT_LIBBCG729", "")
    needs = "G729 needs libbcg729.so.0 (Debian: libbcg729-0)"
    try:
        (fault,) = faults(TEXT, "tenant.office.test.codecs=G729")
        assert "names none that voipat itself can speak" in fault and fault.endswith(needs)
        loaded = config.parse(TEXT, environ={})
        warnings = list(media_warnings(loaded.server, loaded.tenants))
        assert [each for each in warnings if each.startswith(f"office.test: extension '1002': codecs: {needs}")]
    finally:
        plugin_functions.cache_clear()


def test_encryption_cannot_be_promised_for_calls_that_only_pass() -> None:
    text = TEXT.replace('domain = "office.test"\n', 'domain = "office.test"\ncalls = "proxied"\n')
    fault, _ = faults(text)
    assert 'srtp = "required" cannot be kept for calls that only pass' in fault


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        (["tenant.office.test.dtmf_info=false"], "tenant.office.test.dtmf_info"),
        (["server.dtmf_info=false"], "tenant.office.test.calls"),
        (["tenant.office.test.extension.1001.dtmf_info=false"], "tenant.office.test.calls"),
        (["tenant.office.test.dtmf_info=true"], None),
    ],
)
def test_digits_by_info_cannot_be_kept_out_of_calls_that_only_pass(overrides: list[str], place: str | None) -> None:
    text = TEXT.replace("dtmf_info = false\n", "").replace("dtmf_info = true\n", "")
    text = text.replace('srtp = "required"\n', "").replace(
        'domain = "office.test"\n', 'domain = "office.test"\ncalls = "proxied"\n'
    )
    if place is None:
        assert config.parse(text, overrides, environ={}).tenants
        return
    (fault,) = faults(text, *overrides)
    assert f"{place}: dtmf_info = false cannot be kept for calls that only pass" in fault, fault


def test_a_reload_names_the_keys_that_changed() -> None:
    from pbx.changes import reload_row

    old, new = config.parse(TEXT, environ={}), config.parse(TEXT, ["server.srtp=off"], environ={})
    row = reload_row(old, new, applied=True)
    assert (row["changed"], row["needs_restart"]) == (["server.srtp"], [])
    new = config.parse(TEXT, ["tenant.office.test.srtp=off", "tenant.office.test.extension.1002.srtp=off"], environ={})
    assert reload_row(old, new, applied=True)["changed"] == ["office.test", "office.test/1002"]
