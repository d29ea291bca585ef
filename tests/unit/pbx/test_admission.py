"""Places for calls: exact limits that cannot leak."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pbx.admission import Admission
from voipat import Rejected, reasons


def test_a_thousand_calls_racing_for_ten_places_give_exactly_ten() -> None:
    admission = Admission(max_calls=10)
    admitted, refusals = 0, set()
    with ExitStack() as stack:
        for _ in range(1000):
            try:
                stack.enter_context(admission.call())
            except Rejected as refused:
                refusals.add((refused.reason, refused.status))
            else:
                admitted += 1
    assert (admitted, admission.calls, refusals) == (10, 0, {(reasons.SERVER_FULL, 503)})


def test_no_limit_is_no_limit() -> None:
    admission = Admission()
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(admission.call())
        assert admission.calls == 1000


def test_an_extension_at_its_limit_refuses_with_the_reason_of_its_role() -> None:
    admission = Admission()
    with admission.extension("office.test", "1001", 1, reasons.CALLER_LIMIT):
        with (
            pytest.raises(Rejected) as refused,
            admission.extension("office.test", "1001", 1, reasons.CALLEE_LIMIT),
        ):
            pass
        assert refused.value.status == 486
        with admission.extension("shop.test", "1001", 1, reasons.CALLER_LIMIT):
            assert admission.calls_of("shop.test", "1001") == 1
    assert admission.calls_of("office.test", "1001") == 0


def test_a_call_that_fails_gives_its_place_back() -> None:
    admission = Admission(max_calls=1)
    with pytest.raises(ZeroDivisionError), admission.call():
        raise ZeroDivisionError
    assert admission.calls == 0
