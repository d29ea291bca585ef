"""RFC 7616 §3.9.1 and RFC 2617 §3.5: the worked examples."""

from __future__ import annotations

import pytest

from sipcore.auth import answer_challenge, ha1, parse_digest

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.rfc(
    "7616",
    "3.6",
    "Then, the server MUST perform the same digest operation (e.g., MD5, SHA-256) performed by the client and "
    "compare the result to the given response value.",
)
@pytest.mark.rfc("7616", "3.9.1")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_mufasa_asks_for_the_index(algorithm: str, response: str) -> None:
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        f'nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    _, value = answer_challenge(
        [("WWW-Authenticate", challenge)],
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle of Life",
        cnonce=CNONCE,
        nc=1,
    )
    assert parse_digest(value) == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": NONCE,
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


@pytest.mark.rfc("2617", "3.5")
def test_the_example_of_the_older_rfc() -> None:
    challenge = 'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    _, value = answer_challenge(
        [("WWW-Authenticate", challenge)],
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        ha1s={"MD5": ha1("Mufasa", "testrealm@host.com", "Circle Of Life", "MD5")},
        cnonce="0a4f113b",
        nc=1,
    )
    assert (parse_digest(value) or {})["response"] == "6629fae49393a05397450978507c4ef1"


@pytest.mark.rfc(
    "7616",
    "3.4",
    "For historical reasons, a sender MUST NOT generate the quoted string syntax for the following parameters: "
    "algorithm, qop, and nc.",
)
def test_tokens_are_unquoted_and_nc_has_eight_digits() -> None:
    _, value = answer_challenge(
        [("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"')],
        method="REGISTER",
        uri="sip:r",
        username="u",
        password="p",
        cnonce="c",
        nc=0x1F,
    )
    assert "qop=auth, nc=0000001f" in value
    assert "algorithm=MD5," in value
