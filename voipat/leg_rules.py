"""What the media of a leg must and may be where its call does not say so: for all legs, or leg by leg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sipcore.beside import KINDS
from voipat.leg_audio import LegCodecs
from voipat.security import SrtpRules

if TYPE_CHECKING:
    from voipat.call import Call

    T = TypeVar("T")

_WHERE_BOTH_CAN: Final = SrtpRules()


@dataclass(frozen=True, slots=True)
class LegMedia:
    """What holds for one leg; `codecs` empty: those of voipat, and whatever both sides have.

    `beside`: the streams beside the audio that are relayed. `comfort_noise`: pauses of what is encoded here are RFC
    3389's, where the other side takes that. `dtmf_info`: whether digits in an INFO from this leg are taken.
    """

    srtp: SrtpRules = _WHERE_BOTH_CAN
    codecs: tuple[str, ...] = ()
    beside: tuple[str, ...] = KINDS
    comfort_noise: bool = False
    dtmf_info: bool = True

    def by_name(self) -> dict[str, Any]:
        """What it says, as `Call` and `Gateway` have it under the same names."""
        return {name: getattr(self, name) for name in LEG_MEDIA}


LEG_MEDIA: Final = tuple(field.name for field in fields(LegMedia))

MediaRules = Callable[["Call"], LegMedia]


def rules_of(call: Call, rules: LegMedia) -> LegMedia:
    """The rules, with what is said of this leg alone in their place."""
    own = {name: value for name in LEG_MEDIA if (value := getattr(call, name)) is not None}
    return replace(rules, **own) if own else rules


def media_rules(
    *,
    srtp: SrtpRules | Callable[[Call], SrtpRules] | None = None,
    codecs: Sequence[str] | Callable[[Call], Sequence[str]] = (),
    beside: Sequence[str] | Callable[[Call], Sequence[str]] = KINDS,
    comfort_noise: bool | Callable[[Call], bool] = False,
    dtmf_info: bool | Callable[[Call], bool] = True,
) -> MediaRules:
    """The rules that each of these is part of, as `App` has them.

    Raises: ValueError, CodecMissingError for what holds for all legs and names nothing known.
    """
    if not callable(codecs):
        LegCodecs(codecs)  # said here and now, not at the first call
    if not callable(beside) and (unknown := [kind for kind in beside if kind not in KINDS]):
        raise ValueError(f"{unknown[0]!r} is no stream beside the audio: {', '.join(KINDS)}")
    each = (_per_leg(srtp or _WHERE_BOTH_CAN), _per_leg(codecs), _per_leg(beside))
    noise, digits = _per_leg(comfort_noise), _per_leg(dtmf_info)
    return lambda call: LegMedia(each[0](call), tuple(each[1](call)), tuple(each[2](call)), noise(call), digits(call))


def _per_leg(rule: T | Callable[[Call], T]) -> Callable[[Call], T]:
    """A rule for every leg, or one that is asked leg by leg."""
    return rule if callable(rule) else lambda call: rule
