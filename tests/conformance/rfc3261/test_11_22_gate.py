"""RFC 3261 §11 and §22: OPTIONS, and who asks for credentials with which status."""

from __future__ import annotations

import pytest

from sipcore.auth import answer_challenge
from sipcore.endpoint import Answer, Refuse
from sipcore.errors import RemoteProtocolError
from sipcore.state import Relay
from tests.unit.voipat.test_auth_gate import Door
from voipat.accounts import Identity

CAPABILITIES = (("Allow", "INVITE"), ("Accept", "application/sdp"))


def challenges(verdict: object) -> list[tuple[str, str]]:
    assert isinstance(verdict, Refuse)
    return [each for each in verdict.headers if each[0].endswith("-Authenticate")]


@pytest.mark.rfc("3261", "11", "All UAs MUST support the OPTIONS method.")
def test_options_is_answered_with_what_we_can_do() -> None:
    door = Door()
    door.gate.capabilities = CAPABILITIES
    assert door.knock("OPTIONS", uri="sip:example.com") == Answer(200, CAPABILITIES)


@pytest.mark.rfc(
    "3261",
    "11.2",
    "The response code chosen MUST be the same that would have been chosen had the request been an INVITE.",
)
@pytest.mark.parametrize(
    ("uri", "draining", "status"),
    [("sip:info@example.com", True, 503), ("sip:x@foreign.test", False, 403), ("http://example.com", False, 416)],
)
def test_options_is_refused_as_an_invite_would_be(uri: str, draining: bool, status: int) -> None:
    door = Door(public="info")
    door.gate.draining = draining
    verdicts = [door.knock(method, uri=uri, from_="sip:x@foreign.test") for method in ("INVITE", "OPTIONS")]
    assert [each.status for each in verdicts if isinstance(each, Refuse)] == [status, status]


@pytest.mark.rfc(
    "3261",
    "22.2",
    "The WWW-Authenticate response-header field MUST be included in 401 (Unauthorized) response messages.",
)
@pytest.mark.rfc(
    "3261",
    "22",
    'Servers MUST NOT accept credentials using the "Basic" authorization scheme, and servers also MUST NOT challenge '
    'with "Basic".',
)
@pytest.mark.rfc("8760", "2.6", "SIP clients and servers MUST NOT accept or request Basic authentication.")
def test_basic_is_neither_asked_for_nor_taken() -> None:
    verdict = Door().knock(headers=(("Authorization", "Basic YWxpY2U6d29uZGVy"),))
    assert isinstance(verdict, Refuse) and verdict.status == 401
    assert challenges(verdict) and all(value.startswith("Digest ") for _, value in challenges(verdict))


@pytest.mark.rfc("8760", "2.6", "SIP clients and servers MUST NOT accept or request Basic authentication.")
def test_our_client_answers_no_basic_challenge() -> None:
    asked = [("WWW-Authenticate", 'Basic realm="example.com"')]
    with pytest.raises(RemoteProtocolError):
        answer_challenge(asked, method="INVITE", uri="sip:a@b", username="a", password="b", cnonce="c", nc=1)


@pytest.mark.rfc(
    "3261",
    "22.1",
    "Additionally, registrars and redirect servers MAY make use of 401 (Unauthorized) responses for authentication, "
    "but proxies MUST NOT, and instead MAY use the 407 (Proxy Authentication Required) response.",
)
@pytest.mark.rfc(
    "3261",
    "22.3",
    "The proxy MUST populate the 407 (Proxy Authentication Required) message with a Proxy-Authenticate header field "
    "value applicable to the proxy for the requested resource.",
)
@pytest.mark.rfc(
    "3261",
    "21.4.8",
    "This code is similar to 401 (Unauthorized), but indicates that the client MUST first authenticate itself with "
    "the proxy.",
)
@pytest.mark.rfc(
    "7616",
    "3.8",
    'Upon receiving a request that requires authentication, the proxy/server MUST issue the "407 Proxy '
    'Authentication Required" response with a "Proxy-Authenticate" header field.',
)
def test_a_proxy_asks_with_407_and_takes_proxy_authorization_alone() -> None:
    door = Door()
    door.gate.proxies = lambda domain: domain == "example.com"
    first = door.knock()
    assert isinstance(first, Refuse) and first.status == 407
    assert [name for name, _ in challenges(first)] == ["Proxy-Authenticate"] * len(challenges(first))
    assert all('realm="example.com"' in value for _, value in challenges(first))
    answer = answer_challenge(
        first.headers, method="INVITE", uri="sip:bob@example.com", username="alice", password="wonder", cnonce="c", nc=1
    )
    assert answer[0] == "Proxy-Authorization"
    assert door.knock(headers=(answer,)) == Relay(Identity("example.com", "alice"))
    for_the_uas = door.knock(headers=(("Authorization", answer[1]),))
    assert isinstance(for_the_uas, Refuse) and for_the_uas.status == 407
    register = door.knock("REGISTER", uri="sip:example.com", to="<sip:alice@example.com>")
    assert isinstance(register, Refuse) and register.status == 401


@pytest.mark.rfc(
    "3891",
    "8",
    "As such, invitations with the Replaces header MUST only be accepted if the peer requesting replacement has been "
    "properly authenticated using a standard SIP mechanism (Digest or S/MIME), and authorized to request a "
    "replacement of the target dialog.",
)
def test_who_would_replace_a_call_has_to_prove_who_he_is() -> None:
    verdict = Door().knock(headers=(("Replaces", "c1@x;to-tag=1;from-tag=2"),))
    assert isinstance(verdict, Refuse) and verdict.status == 401
