"""`value_object` against the frozen dataclass that it stands for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import field, replace
from typing import NamedTuple

import pytest

from sipcore.values import made_in_c, value_object


@value_object(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2


def test_a_value_object_compares_hashes_and_matches_like_a_frozen_dataclass() -> None:
    assert Point(1) == Point(1, 2) != Point(1, 3)
    assert len({Point(1), Point(1, 2), Point(2)}) == 2
    assert replace(Point(1), y=5) == Point(1, 5)
    assert repr(Point(1)) == "Point(x=1, y=2)"
    match Point(3):
        case Point(x, y):
            assert (x, y) == (3, 2)


def test_a_value_object_has_no_dictionary() -> None:
    assert not hasattr(Point(1), "__dict__")


@value_object(frozen=True, slots=True)
class Parcel:
    weight: int
    to: str = "home"
    stamps: list[str] = field(default_factory=list)
    label: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.weight} to {self.to}")


@made_in_c
class Place(NamedTuple):
    street: str
    number: int = 1


def test_a_class_made_in_c_takes_its_arguments_by_place_and_by_name_and_fills_in_the_rest() -> None:
    by_name, plain = Parcel(to="work", weight=2), Parcel(1)

    assert (by_name.weight, by_name.to, by_name.stamps, by_name.label) == (2, "work", [], "2 to work")
    assert plain.to == "home"
    assert plain.stamps is not by_name.stamps
    assert replace(plain, weight=3) == Parcel(3)
    assert Place("Elm", number=4) == ("Elm", 4)
    assert Place(street="Elm")._replace(number=2) == Place("Elm", 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Parcel(),  # type: ignore[call-arg]
        lambda: Parcel(1, "a", [], "b"),  # type: ignore[call-arg]
        lambda: Parcel(1, weight=2),  # type: ignore[misc]
        lambda: Parcel(1, size=2),  # type: ignore[call-arg]
        lambda: Place(),  # type: ignore[call-arg]
        lambda: Place("Elm", 1, 2),  # type: ignore[call-arg]
        lambda: Place("Elm", street="Oak"),  # type: ignore[misc]
    ],
)
def test_arguments_that_do_not_fit_are_refused_as_python_refuses_them(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"(__init__|__new__)\(\) (missing|takes|got)"):
        wrong()


def test_what_is_made_in_c_holds_what_it_was_given_once_and_lets_go_of_it() -> None:
    held = object()
    before = sys.getrefcount(held)

    kept = [Place(held, held), Parcel(held, stamps=held)]  # type: ignore[arg-type]

    assert sys.getrefcount(held) == before + 4
    kept.clear()
    assert sys.getrefcount(held) == before


def test_a_subclass_is_made_by_its_own_constructor() -> None:
    class Heavy(Parcel):
        def __init__(self) -> None:
            super().__init__(100)

    assert Heavy().weight == 100
