"""Which country a number is in, by ITU-T E.164 annex D."""

from __future__ import annotations

import pytest

from pbx.countries import country_of, is_first_call
from pbx.tenant_state import LiveState


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+12025550100", "1"),
        ("+16135550100", "1"),
        ("+18765550100", "1876"),
        ("+18095550100", "1809"),
        ("+17875550100", "1"),
        ("+74955550100", "7"),
        ("+493012345678", "49"),
        ("+442079460000", "44"),
        ("+35312345678", "353"),
        ("+42212345678", "422"),
        ("+2012345678", "20"),
        ("+21212345678", "212"),
        ("+88216123456", "882"),
        ("+97212345678", "972"),
        ("112", ""),
        ("0049301234567", ""),
        ("+", ""),
        ("", ""),
        ("+49-30", ""),
        ("+\u0664\u0669123456", ""),
    ],
)
def test_the_country_of_a_number(number: str, country: str) -> None:
    assert country_of(number) == country


def test_a_country_is_new_once_and_a_restart_forgets_none() -> None:
    state = LiveState()
    assert [is_first_call(state.tenant("a.test"), code) for code in ("49", "4", "49", "44", "4")] == [
        *(True, True, False, True, False)
    ]
    again = LiveState()
    again.restore("a.test", state.tenant("a.test").entries())
    assert not is_first_call(again.tenant("a.test"), "44")
    assert is_first_call(again.tenant("b.test"), "44"), "another tenant's calls are its own"
