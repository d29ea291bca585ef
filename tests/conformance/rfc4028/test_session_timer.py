"""RFC 4028: what a request asks, what the UAS grants (table 2), what the 2xx means, and how 422 is settled."""

from __future__ import annotations

import pytest

from sipcore.message import Request, Response
from sipcore.session_timer import (
    Granted,
    SessionPolicy,
    SessionTerms,
    TooSmall,
    grant,
    raised_by,
    read_success,
    request_headers,
    session_expires,
)

POLICY = SessionPolicy(1800, 90)


def invite(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:b@example.com", list(headers))


def response(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status, None, list(headers))


@pytest.mark.rfc(
    "4028",
    "9",
    "The UAS MUST set the value of the refresher parameter in the Session-Expires header field in the 2xx response. "
    "This value specifies who will perform refreshes for the dialog.",
)
@pytest.mark.parametrize(
    ("supports", "asked", "refresher"),
    [
        (False, "", "uas"),
        (True, "", "uas"),
        (True, ";refresher=uac", "uac"),
        (True, ";refresher=uas", "uas"),
    ],
)
def test_table_2_says_who_refreshes(supports: bool, asked: str, refresher: str) -> None:
    headers = [("Session-Expires", f"600{asked}")] + ([("Supported", "timer")] if supports else [])
    verdict = grant(invite(*headers), POLICY)
    assert isinstance(verdict, Granted)
    assert verdict.terms == SessionTerms(600, refresher == "uas")
    assert ("Session-Expires", f"600;refresher={refresher}") in verdict.headers
    assert (("Require", "timer") in verdict.headers) is supports


@pytest.mark.rfc(
    "4028",
    "9",
    "… the UAS MAY reject the INVITE request with a 422 (Session Interval Too Small) response if the session "
    "interval in the Session-Expires header field is smaller than the minimum interval defined by the UAS' local "
    "policy. When sending the 422 response, the UAS MUST include a Min-SE header field with the value of its minimum "
    "interval.",
)
def test_an_interval_below_our_minimum_gets_422() -> None:
    short = invite(("Supported", "timer"), ("Session-Expires", "60"))
    assert grant(short, POLICY) == TooSmall(90)
    assert grant(invite(("Supported", "timer"), ("Session-Expires", "299")), SessionPolicy(1800, 300)) == TooSmall(300)


@pytest.mark.rfc("4028", "9", "The UAS MUST NOT increase the value of the Session-Expires header field.")
def test_the_interval_is_lowered_but_never_raised_and_not_below_min_se() -> None:
    asked = invite(("Supported", "timer"), ("Session-Expires", "7200"), ("Min-SE", "3600"))
    verdict = grant(asked, POLICY)
    assert isinstance(verdict, Granted) and verdict.terms == SessionTerms(3600, True)
    lower = grant(invite(("Supported", "timer"), ("Session-Expires", "120")), POLICY)
    assert isinstance(lower, Granted) and lower.terms == SessionTerms(120, True)


@pytest.mark.rfc(
    "4028",
    "9",
    "If the refresher parameter in the Session-Expires header field in the 2xx response has a value of 'uac', the "
    "UAS MUST place a Require header field into the response with the value 'timer'.",
)
def test_without_a_timer_on_either_side_nothing_is_granted() -> None:
    assert grant(invite(), SessionPolicy(0)) == Granted(None, ())


@pytest.mark.rfc(
    "4028",
    "7.2",
    "If it does, the UAC MUST look for the Session-Expires header field to process the response. If there was a "
    "Require header field in the response with the value 'timer', the Session-Expires header field will always be "
    "present.",
)
def test_a_uas_that_knows_no_timers_leaves_the_refreshing_to_us() -> None:
    assert read_success(response(200), 1800) == SessionTerms(1800, True)
    assert read_success(response(200), 0) is None
    assert read_success(response(200, ("Session-Expires", "900;refresher=uas")), 1800) == SessionTerms(900, False)
    assert read_success(response(200, ("x", "900;refresher=uac")), 1800) == SessionTerms(900, True)


@pytest.mark.rfc("4028", "7.3")
def test_422_raises_the_interval_once_per_value() -> None:
    refusal = response(422, ("Min-SE", "3600"))
    raised = raised_by(refusal, 0)
    assert raised == 3600
    assert dict(request_headers(POLICY, raised=3600)) == {"Session-Expires": "3600", "Min-SE": "3600"}
    assert raised_by(refusal, 3600) is None, "the same 422 again would go on for ever"
    assert raised_by(response(486), 0) is None


@pytest.mark.rfc(
    "4028",
    "7.4",
    "The values of Supported, Require, and Proxy-Require used in the initial Session refresh request MUST be used.",
)
def test_a_refresh_names_the_role_that_we_have() -> None:
    assert request_headers(POLICY, SessionTerms(600, True)) == (("Session-Expires", "600;refresher=uac"),)
    assert request_headers(POLICY, SessionTerms(600, False)) == (("Session-Expires", "600;refresher=uas"),)


@pytest.mark.rfc("4028", "10")
@pytest.mark.parametrize(("interval", "end"), [(1800, 1768.0), (90, 60.0)])
def test_refresh_at_half_and_bye_min_of_32_s_and_a_third_before_the_end(interval: int, end: float) -> None:
    terms = SessionTerms(interval, True)
    assert terms.refresh_after == interval / 2 and terms.end_after == end


@pytest.mark.rfc(
    "4028",
    "4",
    "In other words, SIP entities MUST be prepared to handle Session-Expires header field values of any duration "
    "greater than 90 seconds, but entities that insert the Session-Expires header field SHOULD NOT choose values of "
    "less than …",
)
@pytest.mark.parametrize("value", ["", "soon", "-1", "12345678901", "90 90"])
def test_a_value_that_cannot_be_read_is_no_timer(value: str) -> None:
    assert session_expires(invite(("Session-Expires", value))) is None
