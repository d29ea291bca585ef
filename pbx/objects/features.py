"""Feature codes: what a phone dials to set something, and what it presses within a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbx.config_table import seconds
from pbx.objects.shape import option
from pbx.objects.words import code_or_none

# Pressed within a call, not dialled.
IN_CALL: Final = ("record", "blind_transfer", "attended_transfer")
# Followed by more digits.
WITH_NUMBER: Final = ("directed_pickup", "forward_on", "intercom", "monitor", "desk_log_in")


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """Feature codes; None switches the feature off."""

    echo: str | None = option(code_or_none, None)
    voicemail: str | None = option(code_or_none, None)
    voicemail_ask: str | None = option(code_or_none, None)
    forward_on: str | None = option(code_or_none, None)
    forward_off: str | None = option(code_or_none, None)
    dnd_on: str | None = option(code_or_none, None)
    dnd_off: str | None = option(code_or_none, None)
    group_pickup: str | None = option(code_or_none, None)
    directed_pickup: str | None = option(code_or_none, None)
    intercom: str | None = option(code_or_none, None)
    monitor: str | None = option(code_or_none, None)
    desk_log_in: str | None = option(code_or_none, None)
    desk_log_out: str | None = option(code_or_none, None)
    record: str | None = option(code_or_none, None)
    blind_transfer: str | None = option(code_or_none, None)
    attended_transfer: str | None = option(code_or_none, None)
    digit_gap_s: float = option(seconds(0.2, 5), 0.7)

    @property
    def codes(self) -> dict[str, str]:
        """Every code in use by its feature."""
        names = (name for name in self.__dataclass_fields__ if name != "digit_gap_s")
        return {name: code for name in names if (code := getattr(self, name)) is not None}

    @property
    def dialled(self) -> dict[str, str]:
        """The codes that are dialled."""
        return {name: code for name, code in self.codes.items() if name not in IN_CALL}
