"""`value_object`: a frozen dataclass whose making costs a third.

A frozen dataclass sets each field by `object.__setattr__` (2 µs for four fields where this takes 0.6), and a call makes
hundreds. Type checkers take these classes for frozen dataclasses and refuse an assignment; at run time nothing stands
in its way, so nobody may go round the checker. They compare and hash like frozen dataclasses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value_object
else:
    from dataclasses import dataclass

    def value_object(*, frozen, slots):
        """`@value_object(frozen=True, slots=True)` where `@dataclass(frozen=True, slots=True)` would stand."""
        assert frozen and slots, "a value object is both"
        return dataclass(slots=True, unsafe_hash=True)


__all__ = ["value_object"]
