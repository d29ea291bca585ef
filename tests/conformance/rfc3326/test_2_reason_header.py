"""RFC 3326 §2: values of the Reason header, several of them, and those that nobody can read."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from sipcore.reason import causes_of, is_completed_elsewhere, q850_cause


def with_reasons(*values: str) -> Request:
    return Request("CANCEL", "sip:x@example.com", [("Reason", value) for value in values])


@pytest.mark.rfc(
    "3326",
    "2",
    "A SIP message MAY contain more than one Reason value (i.e., multiple Reason lines), but all of them MUST have "
    "different protocol values (e.g., one SIP and another Q.850).",
)
@pytest.mark.parametrize(
    ("values", "causes"),
    [
        (('SIP ;cause=200 ;text="Call completed elsewhere"',), {"SIP": 200}),
        (('Q.850;cause=16;text="Terminated"',), {"Q.850": 16}),
        (('SIP;cause=600;text="Busy, everywhere"', "Q.850;cause=17"), {"SIP": 600, "Q.850": 17}),
        (('SIP;cause=200;text="a;cause=1", q.850 ; cause=26',), {"SIP": 200, "Q.850": 26}),
        (("Q.850;cause=16", "Q.850;cause=17"), {"Q.850": 16}),
        (("preemption;cause=1;text=x",), {"PREEMPTION": 1}),
        (("SIP",), {}),
        (("SIP;cause=many", ";cause=1", "", "Q.850;cause=99999"), {}),
        ((), {}),
    ],
)
def test_one_cause_of_each_protocol_counts(values: tuple[str, ...], causes: dict[str, int]) -> None:
    assert causes_of(with_reasons(*values)) == causes


@pytest.mark.parametrize(
    ("value", "cause"), [("Q.850;cause=0", None), ("Q.850;cause=127", 127), ("Q.850;cause=128", None)]
)
def test_a_q850_cause_has_seven_bits(value: str, cause: int | None) -> None:
    assert q850_cause(with_reasons(value)) == cause


@pytest.mark.parametrize(
    ("value", "elsewhere"),
    [("SIP;cause=200", True), ("Q.850;cause=26", True), ("SIP;cause=600", False), ("Q.850;cause=16", False)],
)
def test_what_says_that_somebody_else_has_taken_the_call(value: str, elsewhere: bool) -> None:
    assert is_completed_elsewhere(with_reasons(value)) is elsewhere
