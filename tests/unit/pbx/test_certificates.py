"""The certificates of the configuration: every fault with its place, warnings, names, and what a reload changes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pbx import config
from pbx.config import Config
from pbx.errors import ConfigError
from pbx.tls import LiveTls, LoadedTls, is_among
from sipcore.aio.tls import Certificate
from tests.certificates import Authority

HOME = {"HOME": "/home/op"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def text(server: Certificate, shop: Certificate | None = None, *more: str) -> str:
    lines = [
        "[server]",
        'listen = ["tls://127.0.0.1", "tls://127.0.0.1:5062"]',
        "[server.tls]",
        f'certificate = "{server.chain}"',
        f'key = "{server.key}"',
        *more,
        "[[tenant]]",
        'domain = "shop.test"',
    ]
    if shop is not None:
        lines += ["[tenant.tls]", f'certificate = "{shop.chain}"', f'key = "{shop.key}"']
    return "\n".join(lines)


def parsed(*parts: object) -> Config:
    return config.parse(text(*parts), file="pbx.toml", environ=HOME)  # type: ignore[arg-type]


def loaded(*parts: object, now: float | None = None) -> LoadedTls:
    found = config.load_tls(parsed(*parts), time.time() if now is None else now)
    assert found is not None
    return found


def refusal(*parts: object) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loaded(*parts)
    return [str(problem) for problem in raised.value.problems]


def faults(source: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        config.parse(source, file="pbx.toml", environ=HOME)
    return [str(problem) for problem in raised.value.problems]


def test_good_pairs_have_no_warnings_and_tls_has_its_port(authority: Authority) -> None:
    pair, shop = authority.issue("pbx.test"), authority.issue("shop.test")
    found = loaded(pair, shop)
    assert (found.warnings, found.expired, found.mutual) == ((), (), None)
    assert parsed(pair, shop).server.listeners[0].port == 5061
    assert config.load_tls(config.parse("", environ=HOME), 0.0) is None


def test_files_that_are_missing_or_no_pem_are_told_with_their_line(authority: Authority, tmp_path: Path) -> None:
    pair, gone, empty = authority.issue("pbx.test"), tmp_path / "gone.pem", tmp_path / "empty.pem"
    empty.write_text("")
    assert refusal(Certificate(gone, pair.key)) == [
        f"pbx.toml:4: server.tls.certificate: {gone} cannot be read: No such file or directory"
    ]
    assert refusal(pair, Certificate(pair.chain, gone)) == [
        f"pbx.toml:10: tenant.shop.test.tls.key: {gone} cannot be read: No such file or directory"
    ]
    assert refusal(Certificate(empty, pair.key)) == [
        f"pbx.toml:4: server.tls.certificate: {empty} holds no PEM certificate"
    ]
    assert refusal(Certificate(pair.chain, empty)) == [f"pbx.toml:5: server.tls.key: {empty} holds no PEM key"]
    assert refusal(pair, None, f'client_ca = "{empty}"') == [
        f"pbx.toml:6: server.tls.client_ca: {empty} holds no PEM certificate"
    ]


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    pair, other = authority.issue("pbx.test"), authority.issue("other.test")
    mixed = Certificate(pair.chain, other.key)
    assert refusal(mixed) == [f"pbx.toml:5: server.tls.key: {other.key} is not the key of the certificate"]


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(authority: Authority, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    pair, locked = authority.issue("pbx.test"), tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"x")))
    (problem,) = refusal(Certificate(pair.chain, locked))
    assert "is protected by a password" in problem


def test_dates_are_told(authority: Authority) -> None:
    old = loaded(authority.issue("pbx.test", days=-2.0, stem="old"))
    assert [str(problem).partition("old.chain.pem ")[2][:10] for problem in old.expired] == ["expired on"]
    soon = loaded(authority.issue("pbx.test", days=3.0, stem="soon"))
    assert "soon.chain.pem expires on" in soon.warnings[0]
    early = loaded(authority.issue("pbx.test"), now=time.time() - 40 * 86400)
    assert "is not valid before" in early.expired[0].reason


def test_others_who_can_read_a_key_and_names_that_do_not_fit_are_warned_of(authority: Authority) -> None:
    pair, shop = authority.issue("pbx.test"), authority.issue("elsewhere.test")
    shop.key.chmod(0o644)
    first, second = loaded(pair, shop).warnings
    assert "has mode 644" in first
    assert "does not name shop.test" in second


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            '[server]\nlisten = ["tls://127.0.0.1"]',
            "pbx.toml:2: server.listen[0]: tls://127.0.0.1:5061 needs a certificate and a key in server.tls",
        ),
        (
            '[server.tls]\ncertificate = "/c"\nkey = "/k"\nmutual = ["tls://127.0.0.1"]',
            "pbx.toml:4: server.tls.mutual: needs client_ca, the authority that clients must have their certificate "
            "from",
        ),
        (
            '[server.tls]\ncertificate = "/c"\nkey = "/k"\nclient_ca = "/a"\nmutual = ["tls://127.0.0.1"]',
            "pbx.toml:5: server.tls.mutual[0]: 'tls://127.0.0.1:5061' is none of server.listen",
        ),
        ('[server.tls]\ncertificate = "/c"', "pbx.toml:1: server.tls.key: is missing"),
        (
            '[server.tls]\ncertificate = "c.pem"\nkey = "/k"',
            "pbx.toml:2: server.tls.certificate: 'c.pem' is not allowed, "
            "give the absolute path of a PEM file such as '/etc/voipat/office.pem'",
        ),
        (
            '[[tenant]]\ndomain = "a.test"\n[tenant.tls]\ncertificate = "/c"\nkey = "/k"',
            "pbx.toml:3: tenant.a.test.tls: needs server.tls, for clients that do not say which tenant they want",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(source: str, problem: str) -> None:
    assert problem in faults(source)


def test_only_new_certificates_differ_and_sources_follow(authority: Authority) -> None:
    pair = authority.issue("pbx.test")
    more = (f'client_ca = "{authority.file}"', 'mutual = ["tls://127.0.0.1:5062"]')
    tls = parsed(pair, None, *more).server.tls
    assert tls is not None
    first = loaded(pair, None, *more)
    live = LiveTls(first, tls)
    plain, mutual = live.source("tls://127.0.0.1:5061"), live.source("tls://127.0.0.1:5062")
    assert (plain.current, mutual.current) == (first.plain, first.mutual)
    assert not live.differs(loaded(pair, None, *more))
    authority.issue("pbx.test")
    second = loaded(pair, None, *more)
    assert live.differs(second)
    live.use(second)
    assert (plain.current, mutual.current) == (second.plain, second.mutual)
    assert not live.differs(second)


def test_a_wildcard_among_the_mutual_listeners_means_each_of_its_addresses() -> None:
    assert is_among("tls://10.0.0.1:5062", ["tls://0.0.0.0:5062"])
    assert is_among("tls://[::1]:5062", ["tls://[::]:5062"])
    assert not is_among("tls://10.0.0.1:5061", ["tls://0.0.0.0:5062"])
    assert not is_among("tls://[::1]:5062", ["tls://0.0.0.0:5062"])


def test_mutual_needs_a_restart(authority: Authority) -> None:
    pair = authority.issue("pbx.test")
    more = (f'client_ca = "{authority.file}"', 'mutual = ["tls://127.0.0.1:5062"]')
    assert config.needs_restart(parsed(pair), parsed(pair, None, *more)) == ("server.tls.mutual",)
