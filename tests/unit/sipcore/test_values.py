"""`value_object` against the frozen dataclass that it stands for."""

from __future__ import annotations

from dataclasses import replace

from sipcore.values import value_object


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
