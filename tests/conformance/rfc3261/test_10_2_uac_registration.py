"""RFC 3261 §10.2: our registration at a registrar, as a state machine without I/O; RFC 3608, RFC 6140."""

from __future__ import annotations

import pytest

from sipcore.entropy import SeededEntropy
from sipcore.events import ResponseReceived, TransactionId
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.registration import MAX_REFUSALS, MAX_RETRY_S, Account, Registration, RegistrationState
from sipcore.uri import Uri

REGISTRAR = Address("192.0.2.1", 5060)
OURS = Address("198.51.100.1", 5060)
CHALLENGE = 'Digest realm="carrier.test", nonce="{}", qop="auth", algorithm=MD5'


class Registrar:
    """Answers by hand what the registration sends."""

    def __init__(self, *, bulk: bool = False, expires: int = 3600) -> None:
        account = Account(
            Uri.parse("sip:carrier.test"),
            Uri.parse("sip:office@carrier.test"),
            "office",
            "carrier.test",
            "secret",
            contact_user="line1",
            expires=expires,
            bulk=bulk,
        )
        self.registration = Registration(account, SeededEntropy(1))
        self.now = 0.0
        self.last = self.registration.start(0.0)

    @property
    def state(self) -> RegistrationState:
        return self.registration.state

    @property
    def sent(self) -> Request:
        assert self.last is not None, "a REGISTER was sent"
        return self.last

    def answers(self, status: int, *headers: tuple[str, str], source: str = REGISTRAR.host) -> Request | None:
        flow = Flow("UDP", OURS, Address(source, 5060))
        event = ResponseReceived(TransactionId(1), Response(status, None, headers), flow, None, REGISTRAR)
        self.last = self.registration.receive(event, self.now)
        return self.last

    def challenges(self, nonce: str = "n1", *, more: str = "", status: int = 401) -> Request | None:
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        return self.answers(status, (name, CHALLENGE.format(nonce) + more))

    def accepts(self, expires: int = 600, *more: tuple[str, str]) -> None:
        contact = f"<sip:line1@198.51.100.1:5060>;expires={expires}"
        assert self.answers(200, ("Contact", contact), *more) is None

    def until_due(self) -> float:
        """Goes to the moment when the registration sends again; the seconds that takes."""
        waited = self.registration.due - self.now
        self.now = self.registration.due
        self.last = self.registration.handle_timeout(self.now)
        return waited


@pytest.mark.rfc(
    "3261",
    "10.2",
    "All registrations from a UAC SHOULD use the same Call-ID header field value for registrations sent to a "
    "particular registrar. … A UA MUST increment the CSeq value by one for each REGISTER request with the same "
    "Call-ID.",
)
def test_requests_of_one_registration_share_the_call_id_and_count_up() -> None:
    # "A UA SHOULD use the same Call-ID"; "MUST increment the CSeq value by one for each REGISTER".
    registrar = Registrar()
    first = registrar.sent
    second = registrar.challenges()
    assert second is not None
    assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
    assert first.uri_text == "sip:carrier.test" and str(first.to.uri) == "sip:office@carrier.test"
    assert 'response="' in (second.headers.get("Authorization") or "")


@pytest.mark.rfc(
    "3261",
    "10.2.4",
    "Each UA is responsible for refreshing the bindings that it has previously established. … The 200 (OK) response "
    "from the registrar contains a list of Contact fields enumerating all current bindings. … The UA then issues a "
    "REGISTER request for each of its bindings before the expiration interval has elapsed.",
)
def test_it_refreshes_before_the_granted_time_is_over() -> None:
    registrar = Registrar()
    registrar.accepts(600)
    assert registrar.state is RegistrationState.REGISTERED
    assert 400 < registrar.until_due() < 600
    assert registrar.last is not None and registrar.registration.is_registered(registrar.now)


def test_a_refresh_uses_the_nonce_again_with_a_higher_count() -> None:
    registrar = Registrar()
    registrar.challenges()
    registrar.accepts()
    registrar.until_due()
    assert "nc=00000002" in (registrar.sent.headers.get("Authorization") or "")


@pytest.mark.rfc(
    "7616",
    "3.3",
    "If stale is true, the client may wish to simply retry the request with a new encrypted response, without "
    "re-prompting the user for a new username and password.",
)
def test_a_stale_nonce_costs_one_round_trip_and_is_no_refusal() -> None:
    registrar = Registrar()
    assert registrar.challenges("n1") is not None
    again = registrar.challenges("n2", more=", stale=true")
    assert again is not None and 'nonce="n2"' in (again.headers.get("Authorization") or "")
    assert "nc=00000001" in (again.headers.get("Authorization") or "")
    registrar.accepts()
    assert registrar.state is RegistrationState.REGISTERED


@pytest.mark.rfc(
    "3261",
    "10.2.8",
    "If a UA receives a 423 (Interval Too Brief) response, it MAY retry the registration after making the "
    "expiration interval of all contact addresses in the REGISTER request equal to or greater than the expiration "
    "interval within the Min-Expires header field of the 423 (Interval Too Brief) response.",
)
def test_423_is_followed_by_a_request_for_what_min_expires_says() -> None:
    registrar = Registrar(expires=60)
    again = registrar.answers(423, ("Min-Expires", "1800"))
    assert again is not None and again.headers.get("Expires") == "1800"
    assert registrar.answers(423, ("Min-Expires", "1800")) is None, "it asked for that already"
    assert registrar.state is RegistrationState.WAITING


def test_a_registrar_that_raises_its_demand_for_ever_is_not_followed() -> None:
    registrar = Registrar(expires=60)
    asked = 0
    while registrar.answers(423, ("Min-Expires", str(100 + asked))) is not None:
        asked += 1
    assert asked < 10 and registrar.state is RegistrationState.WAITING


@pytest.mark.rfc(
    "3261",
    "21.5.4",
    "A client (proxy or UAC) receiving a 503 (Service Unavailable) SHOULD attempt to forward the request to an "
    "alternate server. It SHOULD NOT forward any other requests to that server for the duration specified in the "
    "Retry-After header field, if present.",
)
@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_failure_with_retry_after_waits_for_so_long(status: int) -> None:
    registrar = Registrar()
    assert registrar.answers(status, ("Retry-After", "120 (soon);duration=60")) is None
    assert 120 <= registrar.until_due() <= 121
    assert registrar.last is not None


def test_a_retry_after_of_years_is_cut() -> None:
    registrar = Registrar()
    registrar.answers(503, ("Retry-After", "999999999"))
    assert registrar.until_due() <= MAX_RETRY_S + 1


@pytest.mark.rfc("5626", "4.5", "W = min (max-time, (base-time * (2 ^ consecutive-failures)))")
def test_failures_wait_twice_as_long_each_time_up_to_half_an_hour() -> None:
    registrar = Registrar()
    waits = []
    for _ in range(12):
        registrar.registration.failed(registrar.now)
        waits.append(registrar.until_due())
    assert 15 <= waits[0] <= 30 and 30 <= waits[1] <= 60
    assert 900 <= waits[-1] <= 1800
    registrar.accepts()
    registrar.until_due()
    registrar.registration.failed(registrar.now)
    assert registrar.until_due() <= 30, "a success begins anew"


def test_a_wrong_password_is_tried_a_few_times_with_pauses_and_then_no_more() -> None:
    registrar = Registrar()
    sent = 0
    while registrar.state is not RegistrationState.STOPPED:
        sent += 1
        assert registrar.challenges(f"n{sent}") is not None
        assert registrar.challenges(f"m{sent}") is None, "the same password is not tried again at once"
        if registrar.state is RegistrationState.WAITING:
            assert registrar.until_due() >= 15
    assert sent == MAX_REFUSALS
    assert registrar.registration.due == float("inf")


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_for_another_realm_gets_no_credentials(status: int) -> None:
    registrar = Registrar()
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    assert registrar.answers(status, (name, 'Digest realm="evil.test", nonce="x", qop="auth"')) is None
    assert registrar.state is RegistrationState.WAITING


def test_a_challenge_from_another_host_than_was_asked_gets_no_credentials() -> None:
    registrar = Registrar()
    assert registrar.answers(401, ("WWW-Authenticate", CHALLENGE.format("n")), source="203.0.113.9") is None


@pytest.mark.rfc("3608", "5.1")
def test_the_service_route_of_the_last_200_is_kept() -> None:
    # "the UA MAY choose to exercise a service route for future requests"; each 200 replaces what was there.
    registrar = Registrar()
    registrar.accepts(600, ("Service-Route", "<sip:edge.carrier.test;lr>, <sip:core.carrier.test;lr>"))
    assert registrar.registration.service_route == ("<sip:edge.carrier.test;lr>", "<sip:core.carrier.test;lr>")
    registrar.until_due()
    registrar.accepts(600)
    assert registrar.registration.service_route == ()


@pytest.mark.rfc("6140", "5.2")
def test_a_bulk_registration_has_bnc_no_user_and_requires_gin() -> None:
    # "the registering UA MUST include a 'bnc' parameter [...] and MUST NOT include a user portion"; "the UAC MUST
    # include [...] 'gin' in a Require and in a Proxy-Require".
    sent = Registrar(bulk=True).sent
    [contact] = sent.contacts
    assert "bnc" in contact.uri.params and contact.uri.user is None
    assert sent.headers.get("Require") == sent.headers.get("Proxy-Require") == "gin"


@pytest.mark.rfc(
    "3261",
    "10.2.2",
    'A UA requests the immediate removal of a binding by specifying an expiration interval of "0" for that '
    "contact address in a REGISTER request.",
)
def test_stopping_takes_back_what_is_registered_and_only_that() -> None:
    registrar = Registrar()
    registrar.challenges()
    registrar.accepts()
    last = registrar.registration.stop(1.0)
    assert last is not None and last.headers.get("Expires") == "0" and "Authorization" in last.headers
    registrar.answers(200)
    assert registrar.state is RegistrationState.REMOVED
    assert Registrar().registration.stop(0.0) is None


def test_a_registrar_that_grants_a_second_is_not_asked_each_second() -> None:
    registrar = Registrar()
    registrar.accepts(1)
    assert registrar.until_due() >= 5


@pytest.mark.parametrize("value", ["<sip:line1@1.2.3.4>;expires=abc", "<sip:line1@1.2.3.4>;expires=" + "9" * 40, "@@@"])
def test_a_200_that_makes_no_sense_still_registers_for_a_bounded_time(value: str) -> None:
    registrar = Registrar()
    registrar.answers(200, ("Contact", value))
    assert registrar.state is RegistrationState.REGISTERED
    assert 0 < registrar.registration.due <= 86_400
