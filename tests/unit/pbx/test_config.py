"""The configuration is read whole or refused with file, line, key, value and what is allowed."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from pbx import config
from pbx.basics import data_directory
from pbx.config import Config, GuardConfig, LogConfig, MediaConfig, RegistrarConfig, ServerConfig
from pbx.errors import ConfigError
from pbx.objects.features import FeaturesConfig
from pbx.objects.plan import KINDS, SINGLES
from pbx.tenants import ExtensionConfig, TenantConfig, ha1_of

OFFICE = Path(__file__).parents[3] / "examples" / "office.toml"
HOME = {"HOME": "/home/alice"}

SMALL = """\
[server]
listen = ["udp://127.0.0.1:5060"]
[[tenant]]
domain = "a.test"
[tenant.extensions]
1001 = "pass-1001"
"""


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, overrides, file="x.toml", environ=HOME)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_says_what_the_contract_says() -> None:
    office = config.load(OFFICE, environ=HOME)
    assert office.server == ServerConfig(
        data=Path("/home/alice/.local/share/voipat"),
        listen=("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"),
        media=MediaConfig("127.0.0.1", 20000, 29999),
        default_tenant="office.test",
        drain_s=30.0,
        guard=GuardConfig(ban=True, trusted=("127.0.0.0/8", "::1/128")),
        registrar=RegistrarConfig(keepalive_s=0.0),
        log=LogConfig(level="info"),
    )
    tenant, shop = office.tenants
    assert (shop.domain, shop.digest, list(shop.extensions)) == (
        "shop.test",
        ("SHA-256", "MD5"),
        ["1001", "1002", "1003"],
    )
    assert (tenant.domain, tenant.digest, tenant.features.echo) == ("office.test", ("MD5",), "*43")
    assert list(tenant.extensions) == [str(number) for number in range(1001, 1011)]
    for number, extension in tenant.extensions.items():
        assert extension.ha1 == (("MD5", ha1_of(number, "office.test", f"pass-{number}", "MD5")),)
        assert extension.max_calls is None or extension.max_calls >= 10


def test_an_empty_file_is_a_server_on_loopback_without_tenants() -> None:
    assert config.parse("", environ=HOME) == Config(ServerConfig(data=Path("/home/alice/.local/share/voipat")))


def test_every_fault_is_told_at_once_with_its_line() -> None:
    text = """\
[server]
listen = ["udp://127.0.0.1:5060", "tcp:/nowhere"]
drain_z = 3
media = "127.0.0.1:20000"
[server.guard]
ban = "yes"
trusted = ["10.0.0.0/8", "10.0.0.1/8"]
[[tenant]]
digest = ["MD4"]
"""
    assert faults(text) == [
        "x.toml:2: server.listen[1]: 'tcp:/nowhere' is not allowed, give a listener such as 'udp://127.0.0.1:5060' "
        "or 'tcp://[::1]:5060' (an address, not a name)",
        "x.toml:3: server.drain_z: unknown key, did you mean 'drain_s'?",
        "x.toml:4: server.media: '127.0.0.1:20000' is not allowed, give an address and ports such as "
        "'127.0.0.1:20000-29999', ports 1024 to 65535",
        "x.toml:6: server.guard.ban: 'yes' is not allowed, give true or false",
        "x.toml:7: server.guard.trusted[1]: '10.0.0.1/8' is not allowed, give a network such as '192.0.2.0/24' "
        "(host bits zero) or an address",
        "x.toml:8: tenant[0].domain: is missing",
        "x.toml:9: tenant[0].digest[0]: 'MD4' is not allowed, give one of 'MD5', 'SHA-256'",
        "x.toml:9: tenant[0].digest: an empty list is not allowed, give one or both of 'SHA-256', 'MD5' in order",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[server\n", "x.toml:1: syntax: Expected ']' at the end of a table declaration"),
        ("\na = 1\na = 2\n", "x.toml:3: syntax: Cannot overwrite a value"),
        ("x = [1,\n2", "x.toml:2: syntax: Unclosed array"),
        ("serve = 1", "x.toml:1: serve: unknown key, did you mean 'server'?"),
        ("server = 1", "x.toml:1: server: 1 is not allowed, give a table"),
        ("tenant = 1", "x.toml:1: tenant: 1 is not allowed, give tables headed [[tenant]]"),
        ("[server]\ndrain_s = -1", "x.toml:2: server.drain_s: -1 is not allowed, give seconds from 0 to 86400"),
        ("[server]\ndrain_s = true", "x.toml:2: server.drain_s: true is not allowed, give seconds from 0 to 86400"),
        (
            "[server.log]\nlevel = 'loud'",
            "x.toml:2: server.log.level: 'loud' is not allowed, give one of 'debug', 'info', 'warning', 'error'",
        ),
        (
            "[server]\nmedia = '127.0.0.1:20000-20002'",
            "x.toml:2: server.media: '127.0.0.1:20000-20002' is not allowed, give at least 4 ports, which is one call",
        ),
        (
            "[server]\nlisten = ['udp://127.0.0.1:20010']",
            "x.toml:2: server.listen[0]: port 20010 of udp://127.0.0.1:20010 lies in the media range "
            "127.0.0.1:20000-29999",
        ),
        ("[server]\nlisten = []", "x.toml:2: server.listen: an empty list is not allowed, give at least one listener"),
        (
            "[server]\nlisten = ['udp://127.0.0.1', 'udp://localhost:5060']",
            "x.toml:2: server.listen: names a listener twice",
        ),
        (
            "[server]\ndefault_tenant = 'b.test'\n[[tenant]]\ndomain = 'a.test'",
            "x.toml:2: server.default_tenant: 'b.test' is no tenant, known: 'a.test'",
        ),
        (
            "[server]\ndata = 'here'",
            "x.toml:2: server.data: 'here' is not allowed, give an absolute directory such as '/var/lib/voipat' "
            "or '~/voipat'",
        ),
        (
            "[[tenant]]\ndomain = 'a.test'\n[[tenant]]\ndomain = 'A.test'",
            "x.toml:4: tenant.A.test.domain: 'a.test' is the domain of an earlier tenant",
        ),
        (
            "[[tenant]]\ndomain = 'a.test'\n[tenant.extensions]\n1001 = 'secret1'\n1000-1002 = 'secret2'",
            "x.toml:5: tenant.a.test.extensions.1000-1002: the extension 1001 is described twice",
        ),
        (
            "[[tenant]]\ndomain = 'a.test'\n[[tenant.extension]]\nnumber = '7'\nname = 'x'",
            "x.toml:3: tenant.a.test.extension.7: needs one of password and ha1",
        ),
        (
            "[[tenant]]\ndomain = 'a.test'\n[tenant.features]\necho = '43#'\n[tenant.extensions]\n'43#' = 'secret1'",
            "x.toml:3: tenant.a.test.features: the code '43#' of echo is also an extension",
        ),
    ],
)
def test_a_fault_is_told_in_one_line(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_a_refused_password_is_not_printed() -> None:
    text = "[[tenant]]\ndomain = 'a.test'\n[tenant.extensions]\n1001 = 'abc'\n"
    assert faults(text) == [
        "x.toml:4: tenant.a.test.extensions.1001.password: the value is not allowed, "
        "give at least 6 characters in quotes"
    ]


def test_the_configuration_holds_no_password_and_prints_no_hash() -> None:
    parsed = config.parse(SMALL, environ=HOME)
    assert "pass-1001" not in repr(parsed)
    assert ha1_of("1001", "a.test", "pass-1001", "MD5") not in repr(parsed)


def test_hashes_may_stand_for_the_password() -> None:
    md5 = ha1_of("1001", "a.test", "hello-there", "MD5")
    text = f"[[tenant]]\ndomain = 'a.test'\ndigest = ['MD5']\n[tenant.extensions]\n1001.ha1.MD5 = '{md5.upper()}'\n"
    (tenant,) = config.parse(text, environ=HOME).tenants
    assert tenant.extensions["1001"].ha1 == (("MD5", md5),)
    wanted = "x.toml:5: tenant.a.test.extensions.1001.ha1.SHA-256: is missing, because digest lists SHA-256"
    assert faults(text.replace("'MD5'", "'SHA-256', 'MD5'")) == [wanted]


def test_a_range_makes_many_extensions() -> None:
    text = "[[tenant]]\ndomain = 'a.test'\n[tenant.extensions]\n098-101 = { password = 'very-{number}', ring_s = 9 }\n"
    (tenant,) = config.parse(text, environ=HOME).tenants
    assert list(tenant.extensions) == ["098", "099", "100", "101"]
    assert tenant.extensions["100"].ha1[1] == ("MD5", ha1_of("100", "a.test", "very-100", "MD5"))
    assert tenant.extensions["100"].ring_s == 9.0


def test_overrides_are_typed_by_their_key() -> None:
    overrides = [
        "server.data=/tmp/x",
        "server.drain_s=2.5",
        "server.guard.ban=false",
        "server.listen=udp://127.0.0.1:0,tcp://127.0.0.1:5070",
        'server.guard.trusted=["10.0.0.0/8"]',
        "server.default_tenant=a.test",
        "tenant.a.test.digest=MD5",
        "tenant.a.test.extensions.1001.max_calls=12",
        "tenant.a.test.extensions.1001.name=42",
    ]
    parsed = config.parse(SMALL, overrides, environ=HOME)
    assert parsed.server == ServerConfig(
        data=Path("/tmp/x"),
        listen=("udp://127.0.0.1:0", "tcp://127.0.0.1:5070"),
        default_tenant="a.test",
        drain_s=2.5,
        guard=GuardConfig(ban=False, trusted=("10.0.0.0/8",)),
    )
    extension = parsed.tenants[0].extensions["1001"]
    assert (extension.max_calls, extension.name, extension.digest) == (12, "42", ("MD5",))


def test_a_refused_override_is_told_with_its_number() -> None:
    assert faults(SMALL, "server.drain_s=x", "nonsense", "tenant.b.test.digest=MD5", "server.drian_s=1") == [
        "--set:1: server.drain_s: 'x' is not allowed, give seconds from 0 to 86400",
        "--set:2: nonsense: is not allowed, give key=value",
        "--set:3: tenant.b.test.digest: there is no such tenant",
        "--set:4: server.drian_s: unknown key, did you mean 'drain_s'?",
    ]


@pytest.mark.parametrize("listener", ["udp://0.0.0.0:5060", "tcp://[::]:5060", "udp://192.0.2.1:5060"])
def test_sample_passwords_are_refused_where_a_network_reaches(listener: str) -> None:
    (fault,) = faults(SMALL, f"server.listen={listener}")
    assert fault.startswith("x.toml:6: tenant.a.test.extensions.1001: extension 1001 has a sample password while")
    assert "pass-1001" not in fault


def test_sample_passwords_given_as_hashes_are_found_too() -> None:
    md5 = ha1_of("1001", "a.test", "pass-1001", "MD5")
    text = f"[[tenant]]\ndomain = 'a.test'\ndigest = ['MD5']\n[tenant.extensions]\n1001.ha1.MD5 = '{md5}'\n"
    (fault,) = faults(text, "server.listen=udp://192.0.2.1:5060")
    assert "has a sample password" in fault


def test_own_passwords_may_be_opened_to_a_network() -> None:
    text = SMALL.replace("pass-1001", "correct horse")
    assert config.parse(text, ["server.listen=udp://0.0.0.0:5060"], environ=HOME).tenants


def test_of_many_sample_passwords_only_some_are_told_one_by_one() -> None:
    problems = faults(OFFICE.read_text(), "server.listen=udp://0.0.0.0:5060")
    assert len(problems) == 4
    assert "extension 1004 and 9 after it" in problems[3]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file: cannot be read: No such file"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"bad.toml:2: file: is not UTF-8"):
        config.load(tmp_path / "bad.toml")


def test_the_data_directory_follows_xdg() -> None:
    assert data_directory({"XDG_DATA_HOME": "/x", **HOME}) == Path("/x/voipat")
    assert data_directory({"XDG_DATA_HOME": "relative", **HOME}) == Path("/home/alice/.local/share/voipat")


def test_what_needs_a_restart_is_named() -> None:
    old = config.parse(SMALL, environ=HOME)
    new = config.parse(SMALL, ["server.media=127.0.0.1:30000-30999", "server.drain_s=1"], environ=HOME)
    assert config.needs_restart(old, new) == ("server.media",)


REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "configuration.md").read_text()


def test_the_file_with_every_key_is_accepted_and_has_every_key() -> None:
    text = REFERENCE.partition("```toml\n")[2].partition("```")[0]
    parsed = config.parse(text, environ=HOME)
    assert list(parsed.tenants[0].extensions) == ["1001", "1002", "1003", *map(str, range(1010, 1020))]
    # What a listener says after its "?" is part of `listen`.
    fields = {field.name for field in dataclasses.fields(ServerConfig)} - {"listen_advertised"}
    assert fields == {*tomllib.loads(text)["server"]}
    for kind in (ExtensionConfig, TenantConfig, FeaturesConfig, GuardConfig, LogConfig, RegistrarConfig):
        for field in dataclasses.fields(kind):
            assert field.name in text or field.name == "plan", f"{kind.__name__}.{field.name}"
    tenant = tomllib.loads(text)["tenant"][0]
    for name, (shape, _) in KINDS.items():
        assert {field.name for field in dataclasses.fields(shape)} == {key for one in tenant[name] for key in one}, name
    for name, single in SINGLES.items():
        assert {field.name for field in dataclasses.fields(single)} == {*tenant[name]}, name


def test_phones_are_asked_every_half_minute_unless_told_otherwise() -> None:
    assert config.parse(SMALL, environ=HOME).server.registrar == RegistrarConfig(30.0, "options", 3)
    told = ["server.registrar.keepalive_s=0", "server.registrar.keepalive=crlf"]
    assert config.parse(SMALL, told, environ=HOME).server.registrar == RegistrarConfig(0.0, "crlf", 3)


@pytest.mark.parametrize("override", ["keepalive_s=1", "keepalive_s=4000", "keepalive=ping", "keepalive_failures=0"])
def test_a_keep_alive_that_cannot_work_is_a_fault(override: str) -> None:
    (problem,) = faults(SMALL, f"server.registrar.{override}")
    assert problem.startswith(f"--set:1: server.registrar.{override.partition('=')[0]}: ")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\r\ndrain_s = 7\r\n")
    assert config.load(path, environ=HOME).server.drain_s == 7


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ('listen = ["udp://0.0.0.0:5060"]', "tenant.office.test.extensions.1001"),
        ('default_tenant = "gone.test"', "server.default_tenant"),
    ],
)
def test_tenants_of_the_store_are_held_to_what_a_file_is(server: str, key: str) -> None:
    stored = config.parse(
        '[[tenant]]\ndomain = "office.test"\n[tenant.extensions]\n1001 = "pass-1001"\n', environ=HOME
    ).tenants
    told = config.parse(f"[server]\n{server}\n", environ=HOME).server
    with pytest.raises(ConfigError) as refused:
        config.check_stored(told, stored)
    assert [(problem.file, problem.key) for problem in refused.value.problems] == [("the store", key)]


def test_the_name_of_an_extension_is_one_line() -> None:
    text = SMALL.replace('"pass-1001"', '{ password = "pass-1001", name = "Reception\\nX-Evil: 1" }')
    (fault,) = faults(text)
    assert "tenant.a.test.extensions.1001.name" in fault and "up to 128 characters of one line" in fault
