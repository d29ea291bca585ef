"""What a simulated phone does with the calls that come to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    """What a phone does with an incoming call: after `ring_after` a `ring_status`, and so on in seconds from there."""

    is_deaf: bool = False
    ring_after: float | None = 0.0
    ring_status: int = 180
    early_media: bool = False
    answer_after: float | None = None
    refuse_after: float | None = None
    refuse_status: int = 486
    moved_to: tuple[str, ...] = ()
    vanish_after: float | None = None
    hang_up_after: float | None = None
