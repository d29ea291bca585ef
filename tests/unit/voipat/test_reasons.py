"""The registry of reasons: stable ids, safe texts."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbx import cli
from sipcore.flow import Address, Flow
from sipcore.message import REASONS as STATUS_TEXTS
from sipcore.refusals import Refusal
from voipat import reasons
from voipat.reasons import REASONS, Reason
from voipat.refusals import REASON_OF, refusal_headers

ROOT = Path(__file__).parents[3]
# What sends a response, or lets one be sent.
SENDERS = {
    "Answer", "Refuse", "refusal_bytes", "refuse_malformed", "refuse_stateless", "respond", "respond_to",
    "response_bytes", "response_to", "_respond_to_invite", "_send_stateless", "_transmit_stateless",
}  # fmt: skip
# The functions that may send a final response and name no reason in the same call, and why.
ALLOWED = {
    "sipcore/aio/tcp:_refusal": "its caller gives the headers of Refusal.UNREADABLE",
    "sipcore/endpoint:_receive_malformed": "refuse_malformed adds the headers of Refusal.UNREADABLE",
    "sipcore/endpoint:respond": "carries out what the transaction user says",
    "sipcore/proxy:_finish": "the headers are those of the refusal for the status",
    "sipcore/responding:_fill": "writes what its callers say",
    "sipcore/responding:_send_stateless": "passes on what its callers say; by itself only 200 to a CANCEL",
    "sipcore/responding:_transmit_stateless": "writes what its callers say",
    "sipcore/responding:refusal_bytes": "writes the headers of a verdict of the gate",
    "sipcore/responding:refuse": "the headers are those of the refusal",
    "sipcore/responding:refuse_malformed": "the headers are those of Refusal.UNREADABLE",
    "sipcore/responding:refuse_stateless": "passes on what its callers say",
    "sipcore/uas:_receive_new": "a verdict of the gate: its Refuse and Answer are looked at where they are made",
    "sipcore/uas:_send_held": "passes on what the transaction user said",
    "sipcore/uas:respond_to": "passes on what the transaction user says",
    "voipat/auth_gate:_refusal": "a Refuse of the gate, looked at where it is made",
    "voipat/exchange:respond": "passes on what its callers say",
    "voipat/legs:end": "the headers are those of the reason, Warning and Reason",
    "voipat/legs:provisional": "below 200",
    "voipat/messages:on_response": "the 2xx of the other phone; anything else is refused with a reason",
    "voipat/registrations:receive": "the registrar gives a reason with every status but 200",
    "voipat/transfer:receive_refer": "the header is that of BAD_REFER; the status is that of what is wrong",
}


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


def test_explain_prints_cause_and_fix_of_every_id(capsys: pytest.CaptureFixture[str]) -> None:
    for reason in REASONS.values():
        assert cli.main(["explain", reason.id]) == 0
        first, _, *explained = capsys.readouterr().out.splitlines()
        assert first == f"{reason.id}  {reason.text}"
        printed = " ".join(line.strip() for line in explained)
        assert printed == f"cause: {reason.explanation} fix:   {reason.fix}"
        assert max(map(len, explained)) <= 100
        assert cli.main(["explain", reason.id, "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert (row["explanation"], row["fix"]) == (reason.explanation, reason.fix)


def test_what_the_stack_refuses_has_the_id_of_a_reason_with_its_status() -> None:
    flow = Flow("UDP", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060), 0)
    assert set(REASON_OF) == set(Refusal)
    assert len(set(REASON_OF.values())) == len(Refusal)
    for refusal, reason in REASON_OF.items():
        assert reason.status == refusal.status
        assert refusal_headers(refusal, flow) == (reason.warning("192.0.2.1:5060"),)


def test_no_final_response_leaves_without_an_id() -> None:
    found = {place for package in ("sipcore", "voipat", "pbx") for place in _finals_without_id(ROOT / package)}
    assert found == set(ALLOWED)


def _finals_without_id(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        if path.is_relative_to(ROOT / "voipat" / "testing"):
            continue  # phones of tests, which say what the test wants
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and _name_of(call) in SENDERS and not _says_why(call):
                    yield f"{path.relative_to(ROOT).with_suffix('')}:{function.name}"


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _says_why(call: ast.Call) -> bool:
    """Whether the call names a refusal or reason, gives the Warning, or says no more than that all is well."""
    numbers = [each.value for each in ast.walk(call) if isinstance(each, ast.Constant) and type(each.value) is int]
    statuses = [number for number in numbers if 100 <= number <= 699]
    text = ast.unparse(call)
    if statuses and max(statuses) < 300:
        return True
    return "warning(" in text or "Refusal." in text or "reasons." in text or "refusal_headers(" in text
