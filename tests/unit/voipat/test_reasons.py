"""The registry of reasons: stable ids, safe texts."""

from __future__ import annotations

import re

from sipcore.message import REASONS as STATUS_TEXTS
from voipat import reasons
from voipat.reasons import REASONS, Reason


def test_each_reason_has_an_id_of_its_own() -> None:
    named = [value for value in vars(reasons).values() if isinstance(value, Reason)]
    assert len(named) == len(REASONS)
    assert all(re.fullmatch(r"VP-[1-7]\d{3}", identifier) for identifier in REASONS)


def test_texts_can_stand_in_a_quoted_string_and_say_something() -> None:
    for reason in REASONS.values():
        assert reason.text.isascii() and not set('"\\\r\n') & set(reason.text)
        assert len(reason.explanation) > 15 and reason.explanation.endswith(".")


def test_statuses_causes_and_dispositions_are_those_of_the_standards() -> None:
    for reason in REASONS.values():
        assert reason.status in STATUS_TEXTS
        assert 1 <= reason.q850 <= 127
        assert reason.disposition in ("answered", "no_answer", "busy", "cancelled", "failed")


def test_the_id_goes_into_warning_and_reason() -> None:
    assert reasons.BUSY.warning("192.0.2.1:5060") == ("Warning", '399 192.0.2.1:5060 "VP-3004 Busy"')
    assert reasons.BUSY.header() == ("Reason", 'Q.850;cause=17;text="VP-3004 Busy"')
