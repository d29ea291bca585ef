"""Places for calls: exact limits that cannot leak."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from pbx.admission import SERVER, Admission, Limit
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


async def _race(admission: Admission, limits: list[Limit], admitted: list[int], number: int) -> None:
    with admission.places(*limits):
        admitted.append(number)
        await asyncio.sleep(0)
        if number % 3 == 0:
            raise ZeroDivisionError
        await asyncio.sleep(0)


@pytest.mark.parametrize("level", range(4))
def test_a_thousand_tasks_racing_for_ten_places_at_any_level_give_exactly_ten(level: int) -> None:
    keys = [SERVER, ("a.test",), ("a.test", "trunk", "carrier"), ("a.test", "extension", "1001")]
    limits = [Limit(key, 10 if index == level else None, reasons.SERVER_FULL) for index, key in enumerate(keys)]
    admission, admitted = Admission(), list[int]()

    async def run() -> list[object]:
        return await asyncio.gather(
            *(_race(admission, limits, admitted, number) for number in range(1000)), return_exceptions=True
        )

    outcomes = asyncio.run(run())
    assert len(admitted) == 10
    assert sum(isinstance(each, Rejected) for each in outcomes) == 990
    assert admission.calls == 0 and admission.calls_of_tenant("a.test") == 0 and not admission._counts


def test_a_call_that_the_last_limit_refuses_has_taken_nothing_of_the_others() -> None:
    admission = Admission(max_calls=5)
    full = Limit(("a.test",), 0, reasons.TENANT_LIMIT)
    with pytest.raises(Rejected), admission.places(Limit(SERVER, 5, reasons.SERVER_FULL), full):
        pass
    assert admission.calls == 0


def test_one_tenant_at_its_limit_is_no_matter_to_another() -> None:
    admission = Admission()
    with admission.tenant("a.test", 1):
        with pytest.raises(Rejected) as refused, admission.tenant("a.test", 1):
            pass
        assert refused.value.reason is reasons.TENANT_LIMIT
        with admission.tenant("b.test", 1):
            assert admission.calls_of_tenant("b.test") == 1
