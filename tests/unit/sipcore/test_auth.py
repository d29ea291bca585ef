"""Digest in both roles, as the registrar and a trunk use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from sipcore.auth import (
    DigestServer,
    Missing,
    Stale,
    Verdict,
    Verified,
    Wrong,
    answer_challenge,
    ha1,
    parse_digest,
)
from sipcore.entropy import SeededEntropy
from sipcore.errors import RemoteProtocolError
from sipcore.parser import parse_message

REALM = "office.test"
PHONE = "192.0.2.7"


class Asked(NamedTuple):
    method: str = "REGISTER"
    uri_text: str = "sip:office.test"


def stored(username: str, algorithm: str) -> str | None:
    return ha1("1001", REALM, "pass-1001", algorithm) if username == "1001" else None


class Desk:
    """A server and a phone that talk to each other."""

    def __init__(self, **options: float) -> None:
        limits = {key: int(value) if key == "max_nonces" else value for key, value in options.items()}
        self.server = DigestServer(b"secret", SeededEntropy(1), **limits)  # type: ignore[arg-type]

    def challenge(self, *algorithms: str, now: float = 0.0, source: str = PHONE) -> tuple[tuple[str, str], ...]:
        return self.server.challenge(REALM, algorithms or ("MD5",), now, source=source)

    def answer(
        self,
        challenge: tuple[tuple[str, str], ...],
        *,
        username: str = "1001",
        password: str = "pass-1001",
        nc: int = 1,
        asked: Asked = Asked(),  # noqa: B008
        uri: str | None = None,
    ) -> str:
        return answer_challenge(
            challenge,
            method=asked.method,
            uri=uri or asked.uri_text,
            username=username,
            password=password,
            cnonce="c1",
            nc=nc,
        )[1]

    def verify(
        self,
        *values: str,
        now: float = 1.0,
        source: str = PHONE,
        realm: str = REALM,
        asked: Asked = Asked(),  # noqa: B008
        find: Callable[[str, str], str | None] = stored,
        algorithms: tuple[str, ...] = ("SHA-256", "MD5", "MD5-sess", "SHA-256-sess"),
    ) -> Verdict:
        return self.server.verify(asked, values, realm=realm, ha1=find, now=now, source=source, algorithms=algorithms)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
def test_a_phone_with_the_password_is_verified(algorithm: str) -> None:
    desk = Desk()
    value = desk.answer(desk.challenge(algorithm))
    assert desk.verify(value) == Verified("1001", algorithm)


def test_the_challenges_stand_in_the_order_of_the_policy_one_per_header() -> None:
    headers = Desk().challenge("SHA-256", "MD5")
    assert [name for name, _ in headers] == ["WWW-Authenticate", "WWW-Authenticate"]
    parsed = [parse_digest(value) for _, value in headers]
    assert [params and params["algorithm"] for params in parsed] == ["SHA-256", "MD5"]


def test_a_proxy_challenges_under_its_own_name_and_says_stale() -> None:
    ((name, value),) = Desk().server.challenge(REALM, ["MD5"], 0.0, source=PHONE, stale=True, proxy=True)
    assert name == "Proxy-Authenticate"
    assert (parse_digest(value) or {})["stale"] == "true"


def test_every_challenge_differs() -> None:
    desk = Desk()
    assert len({desk.challenge()[0][1] for _ in range(1000)}) == 1000


def test_challenges_make_no_state() -> None:
    desk = Desk()
    for _ in range(100):
        desk.verify(desk.answer(desk.challenge(), password="guess"))
    assert desk.server.nonces == 0


def test_no_credentials_for_the_realm_is_missing() -> None:
    desk = Desk()
    value = desk.answer(desk.challenge())
    assert desk.verify() == Missing()
    assert desk.verify("Basic d2VsY29tZTp0bw==") == Missing()
    assert desk.verify(value, realm="other.test") == Missing()


def test_an_unknown_user_looks_like_a_wrong_password() -> None:
    desk = Desk()
    assert desk.verify(desk.answer(desk.challenge(), password="no")) == Wrong("1001")
    assert desk.verify(desk.answer(desk.challenge(), username="6666")) == Wrong("6666")


def test_an_unknown_user_costs_the_same_hashes() -> None:
    """The placeholder for the missing HA1 is as long as the real one, for either hash."""
    seen: list[tuple[str, str]] = []

    def find(username: str, algorithm: str) -> str | None:
        seen.append((username, algorithm))
        return None

    desk = Desk()
    for algorithm in ("MD5", "SHA-256-sess"):
        assert desk.verify(desk.answer(desk.challenge(algorithm)), find=find) == Wrong("1001")
    assert seen == [("1001", "MD5"), ("1001", "SHA-256")]


def test_a_replayed_nc_is_stale_and_a_higher_one_is_good() -> None:
    desk = Desk()
    challenge = desk.challenge()
    first = desk.answer(challenge, nc=1)
    assert desk.verify(first) == Verified("1001", "MD5")
    assert [desk.verify(first) for _ in range(3)] == [Stale()] * 3
    assert desk.verify(desk.answer(challenge, nc=5)) == Verified("1001", "MD5")
    assert desk.verify(desk.answer(challenge, nc=4)) == Stale()


@pytest.mark.parametrize("nc", ["", "0", "00000000", "zzzzzzzz", "000000001", "-0000001"])
def test_a_malformed_nc_never_authenticates(nc: str) -> None:
    desk = Desk()
    challenge = desk.challenge()
    params = parse_digest(challenge[0][1]) or {}
    # Made by hand with the same broken nc on both sides of the hash.
    from hashlib import md5

    secret = ha1("1001", REALM, "pass-1001", "MD5")
    ha2 = md5(b"REGISTER:sip:office.test").hexdigest()
    response = md5(f"{secret}:{params['nonce']}:{nc}:c1:auth:{ha2}".encode()).hexdigest()
    value = (
        f'Digest username="1001", realm="{REALM}", nonce="{params["nonce"]}", uri="sip:office.test", '
        f'response="{response}", algorithm=MD5, cnonce="c1", qop=auth, nc={nc or chr(34) * 2}'
    )
    assert desk.verify(value) == Stale()


def test_an_old_nonce_is_stale_only_to_who_knows_the_password() -> None:
    desk = Desk(nonce_lifetime=300.0)
    challenge = desk.challenge(now=0.0)
    assert desk.verify(desk.answer(challenge), now=300.5) == Stale()
    assert desk.verify(desk.answer(challenge, password="no"), now=300.5) == Wrong("1001")


def test_a_nonce_of_another_source_tells_nothing_about_passwords() -> None:
    desk = Desk()
    challenge = desk.challenge(source="198.51.100.1")
    assert desk.verify(desk.answer(challenge)) == Stale()
    assert desk.verify(desk.answer(challenge, password="no")) == Stale()


@pytest.mark.parametrize("nonce", ["", "x", "0" * 48, "é" * 48, "g" * 48])
def test_a_made_up_nonce_is_stale(nonce: str) -> None:
    desk = Desk()
    made_up = (("WWW-Authenticate", f'Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5, qop="auth"'),)
    assert desk.verify(desk.answer(made_up)) == Stale()


def test_a_nonce_of_an_earlier_process_is_stale() -> None:
    before, after = Desk(), Desk()
    after.server = DigestServer(b"secret", SeededEntropy(2))
    assert after.verify(before.answer(before.challenge())) == Stale()


@pytest.mark.rfc(
    "3261",
    "22.4",
    "Since RFC 2543 is based on HTTP Digest as defined in RFC 2069 [39], SIP servers supporting RFC 2617 MUST "
    "ensure they are backwards compatible with RFC 2069.",
)
def test_a_phone_without_qop_uses_a_nonce_once() -> None:
    desk = Desk()
    name, value = desk.challenge()[0]
    value = desk.answer(((name, value.replace(', qop="auth"', "")),))
    assert "qop" not in value and "nc=" not in value
    assert desk.verify(value) == Verified("1001", "MD5")
    assert desk.verify(value) == Stale()


def test_sha_256_needs_qop_and_auth_int_is_not_offered() -> None:
    desk = Desk()
    name, value = desk.challenge("SHA-256")[0]
    assert desk.verify(desk.answer(((name, value.replace(', qop="auth"', "")),))) == Wrong("1001")
    name, value = desk.challenge()[0]
    assert desk.verify(desk.answer(((name, value.replace('"auth"', '"auth-int"')),))) == Wrong("1001")


def test_an_algorithm_that_was_not_offered_is_refused() -> None:
    desk = Desk()
    value = desk.answer(desk.challenge("MD5"))
    assert desk.verify(value, algorithms=("SHA-256",)) == Wrong("1001")


def test_the_response_is_bound_to_the_method() -> None:
    desk = Desk()
    value = desk.answer(desk.challenge())
    assert desk.verify(value, asked=Asked("INVITE")) == Wrong("1001")


@pytest.mark.rfc(
    "7616",
    "3.4.6",
    "This MAY be '*', an 'absolute-URI', or an 'absolute-path' as specified in Section 2.7 of [RFC7230], but it "
    "MUST agree with the request-target.",
)
@pytest.mark.parametrize(
    "uri",
    [
        "sip:office.test:5060",
        "sip:OFFICE.test;transport=tcp",
        "sips:office.test",
        "sip:office.test?Subject=x",
        "sip:127.0.0.1:5060",  # sipp names the server's address in every request
        "sip:[::1]:5060",
    ],
)
def test_the_uri_is_compared_tolerantly(uri: str) -> None:
    desk = Desk()
    assert desk.verify(desk.answer(desk.challenge(), uri=uri)) == Verified("1001", "MD5")


@pytest.mark.parametrize(
    "uri", ["sip:1002@office.test", "sip:1002@127.0.0.1", "sip:elsewhere.test", "tel:123", "", "sip:", "office.test"]
)
def test_the_uri_of_another_target_is_refused(uri: str) -> None:
    desk = Desk()
    value = desk.answer(desk.challenge(), uri=uri or "x").replace('uri="x"', f'uri="{uri or "x"}"')
    assert desk.verify(value) == Wrong("1001")


def test_an_ipv6_target_is_compared_with_its_brackets() -> None:
    desk = Desk()
    asked = Asked("INVITE", "sip:1002@[::1]:5060")
    value = desk.answer(desk.challenge(), asked=asked, uri="sip:1002@[::1]")
    assert desk.verify(value, asked=asked) == Verified("1001", "MD5")


def test_the_best_of_several_credentials_counts() -> None:
    desk = Desk()
    good, bad = desk.answer(desk.challenge()), desk.answer(desk.challenge(), password="no")
    assert desk.verify(bad, good) == Verified("1001", "MD5")


def test_no_more_than_four_credentials_are_looked_at() -> None:
    desk = Desk()
    good, bad = desk.answer(desk.challenge()), desk.answer(desk.challenge(), password="no")
    assert desk.verify(bad, bad, bad, bad, good) == Wrong("1001")


def test_what_the_table_forgets_becomes_stale() -> None:
    desk = Desk(max_nonces=2)
    challenges = [desk.challenge(now=float(index)) for index in range(3)]
    values = [desk.answer(challenge) for challenge in challenges]
    assert [desk.verify(value, now=3.0) for value in values] == [Verified("1001", "MD5")] * 3
    assert desk.server.nonces == 2
    assert [desk.verify(value, now=3.0) for value in values] == [Stale()] * 3


def test_nonces_leave_the_table_with_their_lifetime() -> None:
    desk = Desk(nonce_lifetime=300.0)
    desk.verify(desk.answer(desk.challenge(now=0.0)), now=1.0)
    desk.verify(desk.answer(desk.challenge(now=400.0)), now=400.0)
    assert desk.server.nonces == 1


@pytest.mark.parametrize(
    "value",
    [
        "Digest",
        "Digest ",
        'Digest username="1001"',
        'Digest realm="office.test',
        'Digest realm="office.test", realm="office.test"',
        'Digest realm="office.test", algorithm=MD5000, nonce="x"',
        "Digest " + "," * 5000,
        'Digest realm="' + "\\" * 4001,
        "Digest realm=office.test, nonce=x, response=é",
    ],
)
def test_malformed_credentials_never_raise_and_never_verify(value: str) -> None:
    assert not isinstance(Desk().verify(value), Verified)


def test_quoted_pairs_and_utf_8_survive() -> None:
    desk = Desk()
    realm = 'caf\u00e9 "q" \\ x'
    challenge = desk.server.challenge(realm, ["SHA-256"], 0.0, source=PHONE)
    name, value = answer_challenge(
        challenge, method="REGISTER", uri="sip:office.test", username='o"r', password="ü", cnonce="c", nc=1
    )
    found = desk.verify(value, realm=realm, find=lambda user, algorithm: ha1(user, realm, "ü", algorithm))
    assert name == "Authorization"
    assert found == Verified('o"r', "SHA-256")


def test_the_first_challenge_that_can_be_answered_is_taken() -> None:
    header = "Proxy-Authenticate"
    challenges = [(header, f'Digest realm="r", nonce="n", algorithm={name}') for name in ("SHA-9", "SHA-256", "MD5")]
    name, value = answer_challenge(
        challenges, method="INVITE", uri="sip:a@b", username="u", ha1s={"MD5": "0" * 32}, cnonce="c", nc=1
    )
    assert name == "Proxy-Authorization"
    assert (parse_digest(value) or {})["algorithm"] == "MD5"


def test_a_strangers_realm_gets_no_digest_of_ours() -> None:
    challenge = [("WWW-Authenticate", 'Digest realm="evil.test", nonce="n"')]
    with pytest.raises(RemoteProtocolError):
        answer_challenge(
            challenge, method="BYE", uri="sip:a@b", username="u", password="p", cnonce="c", nc=1, realm="trunk.test"
        )


def test_an_old_challenge_without_algorithm_is_answered_without_the_word() -> None:
    challenge = [("WWW-Authenticate", 'Digest realm="r", nonce="n", opaque="o"')]
    value = answer_challenge(challenge, method="REGISTER", uri="sip:r", username="u", password="p", cnonce="c", nc=1)[1]
    assert "algorithm" not in value
    assert value.endswith('opaque="o"')


def test_a_folded_challenge_is_answered() -> None:
    """As AT&T's VoWiFi and others write it (RFC 3261 §7.3.1)."""
    head = (
        b"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        b"To: <sip:a@h>;tag=2\r\nCall-ID: 1@h\r\nCSeq: 1 REGISTER\r\n"
        b'WWW-Authenticate: Digest\r\n realm="r",\r\n\tnonce="n,1",\r\n'
        b' algorithm=MD5,\r\n qop="auth,auth-int"\r\nContent-Length: 0\r\n\r\n'
    )
    challenges = [("WWW-Authenticate", value) for value in parse_message(head).headers.get_all("WWW-Authenticate")]
    _, value = answer_challenge(
        challenges, method="REGISTER", uri="sip:h", username="a", password="b", cnonce="c", nc=1
    )
    assert 'realm="r"' in value and 'nonce="n,1"' in value and "qop=auth," in value
