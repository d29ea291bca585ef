"""Which calls go in a circle: by what they say of their past, and by coming around (RFC 5806, RFC 7332)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from pbx.diversions import MAX_DIVERSIONS, count_of, shortened
from pbx.loop_guard import MAX_ALIKE, MAX_FORWARDS, Transit, forwards_of, refuse_loop
from voipat import Call, Rejected, TrunkIdentity, reasons
from voipat.accounts import Identity


class Asked:
    """What the guard reads of a call."""

    def __init__(self, hops: int = 70, *, caller: str = "+12025550100", diversions: Sequence[str] = ()) -> None:
        self.identity: Identity = TrunkIdentity("x.test", caller, "carrier", "+4930123456", tuple(diversions))
        self.headers = {"Max-Forwards": [str(hops)]}

    def header(self, name: str) -> str | None:
        return self.headers.get(name, [None])[0]  # type: ignore[list-item]

    def header_values(self, name: str) -> list[str]:
        return self.headers.get(name, [])


def call(hops: int = 70, *, caller: str = "+12025550100", diversions: Sequence[str] = ()) -> Call:
    return Asked(hops, caller=caller, diversions=diversions)  # type: ignore[return-value]


def passes(hops: Sequence[int], *, caller: str = "+12025550100") -> int:
    """How many of these calls, all of them waiting, are let out before one is refused."""
    transit = Transit()
    with ExitStack() as stack:
        for number, left in enumerate(hops):
            try:
                stack.enter_context(transit.passing(call(left, caller=caller)))
            except Rejected:
                return number
    with transit.passing(call(hops[-1])):
        return len(hops)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_call_that_comes_around_for_the_third_time_is_refused(step: int) -> None:
    assert passes([69 - step * number for number in range(8)]) == 3


@pytest.mark.parametrize(
    "hops", [[68] * 20, [68, 66, 67, 65], [60, 62, 64, 66], [68, 66, 64, 63], [68, 40, 68, 10, 68], [68, 66, 64]]
)
def test_calls_that_only_look_alike_are_let_out(hops: list[int]) -> None:
    assert passes(hops) == len(hops)


def test_callers_without_a_number_differ_by_a_hop_by_chance() -> None:
    assert passes([68, 67, 66, 65, 64], caller="") == 5
    assert passes([68, 66, 64, 62, 60], caller="") == 3


def test_a_peer_that_begins_with_max_forwards_anew_is_found_out_by_the_number_of_calls() -> None:
    assert passes([70] * (MAX_ALIKE + 5)) == MAX_ALIKE
    assert passes([70] * (MAX_ALIKE + 5), caller="") == MAX_ALIKE + 5


def test_it_is_refused_as_a_loop() -> None:
    transit = Transit()
    with ExitStack() as stack:
        for left in (69, 67, 65):
            stack.enter_context(transit.passing(call(left)))
        with pytest.raises(Rejected) as refused, transit.passing(call(63)):
            pass
    assert refused.value.reason is reasons.CALL_LOOP and refused.value.reason.status == 482


def test_calls_that_are_over_are_forgotten() -> None:
    transit = Transit()
    for left in range(69, 9, -2):
        with transit.passing(call(left)):
            pass
    assert transit._waiting == {}


def test_phones_are_not_counted() -> None:
    asked = Asked()
    asked.identity = Identity("x.test", "1001")
    transit = Transit()
    with ExitStack() as stack:
        for _ in range(MAX_ALIKE + 5):
            stack.enter_context(transit.passing(asked))  # type: ignore[arg-type]
        assert transit._waiting == {}


def diversion(number: int, more: str = "") -> str:
    return f"<sip:{number}@x.test>;reason=unknown{more}"


@pytest.mark.rfc("5806", "4")
def test_diversions_that_are_left_out_are_in_the_counter_of_the_last() -> None:
    values = [diversion(number) for number in range(9)]
    told = shortened(values)
    assert told == (*values[:4], diversion(4, ";counter=5")) and len(told) == MAX_DIVERSIONS
    assert sum(map(count_of, told)) == 9
    again = shortened([diversion(100), *told])
    assert sum(map(count_of, again)) == 10 and len(again) == MAX_DIVERSIONS
    assert shortened(values[:3]) == tuple(values[:3])


@pytest.mark.rfc("5806", "4")
@pytest.mark.parametrize(
    ("more", "count"),
    [("", 1), (";counter=7", 7), (";counter=0", 1), (";counter=x", 1), (";counter=999", 1), (";counter", 1)],
)
def test_a_counter_counts_when_it_is_one(more: str, count: int) -> None:
    assert count_of(diversion(1, more)) == count
    assert count_of("not a name at all <") == 1


def test_eleven_forwards_are_too_many_however_they_are_told() -> None:
    ten = [diversion(1), diversion(2, ";counter=9")]
    refuse_loop(call(diversions=ten))
    assert forwards_of(call(diversions=ten)) == MAX_FORWARDS
    with pytest.raises(Rejected):
        refuse_loop(call(diversions=[diversion(0), *ten]))
    with pytest.raises(Rejected):
        refuse_loop(call(diversions=ten), 1)
    asked = Asked()
    asked.headers["History-Info"] = [f"<sip:{number}@x.test>;index=1" for number in range(12)]
    with pytest.raises(Rejected):
        refuse_loop(asked)  # type: ignore[arg-type]
