"""A call's trace in a form that a simulation and the real daemon share: the messages of each leg, and what was decided.

Times, ids, tags, ports and repeated messages are left out; so is 100 Trying, which a server may leave out too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

LADDERS = Path(__file__).parent / "ladders"

Row = Mapping[str, object]

_HEADER = r"^{}[ \t]*:[ \t]*([^\r\n]*)"
_DECISIONS = re.compile(r"^(goes to|took |menu |group |queue |mailbox |conference |picks up|parked|nobody|recorded by)")
_USER = re.compile(r"sip:([^@;>\s]+?)(-0x[0-9a-f]+)?@")
_MOMENT = re.compile(r"( is (?:open|closed)): .*")
_HEX_ID = re.compile(r"\b[0-9a-f]{16,}\b")


def ladder_of(rows: Iterable[Row]) -> str:
    """One paragraph for each leg, then the decisions."""
    legs: dict[str, list[_Message]] = {}
    decisions: list[str] = []
    for row in rows:
        if row["kind"] == "message":
            message = _Message(row)
            leg = legs.setdefault(message.call_id, [])
            if message not in leg and message.what[:3] != "100":
                leg.append(message)
        elif _DECISIONS.match(str(row["text"])):
            decisions.append(_HEX_ID.sub("…", _MOMENT.sub(r"\1", str(row["text"]))))
    paragraphs = sorted(filter(None, map(_paragraph, legs.values())))
    return "\n".join([*paragraphs, "\n  ".join(["decisions", *decisions])]) + "\n"


class _Message:
    def __init__(self, row: Row) -> None:
        text, message = str(row["text"]), str(row["message"])
        self.is_sent = bool(row["sent"])
        self.call_id = _header(message, "Call-ID")
        self.cseq = int(_header(message, "CSeq").split()[0])
        self.what = text[:3] + " " + text.rpartition("(")[2].rstrip(")") if text[:3].isdigit() else text.split(" ")[0]
        self.is_first = self.what == "INVITE" and "tag=" not in _header(message, "To")
        # A phone's contact has a name of its own choice behind its user.
        self.user = _USER.search(text if self.is_first else "")
        reason = re.search(r"VP-\d{4}", _header(message, "Warning") + _header(message, "Reason"))
        self.reason = f" {reason[0]}" if reason else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Message) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[bool, int, str]:
        return self.is_sent, self.cseq, self.what

    def __str__(self) -> str:
        to = f" {self.user[1]}" if self.user else ""
        return f"{'→' if self.is_sent else '←'} {self.what}{to}{self.reason}"


def _paragraph(leg: list[_Message]) -> str:
    """Without the challenge that was answered: who has a nonce of late is not asked again."""
    last = max((each.cseq for each in leg if each.is_first), default=0)
    challenged = {each.cseq for each in leg if each.what in ("401 INVITE", "407 INVITE") and each.cseq < last}
    told = [each for each in leg if each.cseq not in challenged]
    # Both sides may hang up at once: the first BYE counts.
    byes = [each for each in told if each.what == "BYE"]
    lines = [str(each) for each in told if not _is_crossing(each, byes)]
    return "\n  ".join([f"leg {'out' if lines[0].startswith('→') else 'in'}", *lines]) if lines else ""


def path_of(name: str, number: int) -> Path:
    """Where the ladder of one call of a scenario is kept."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return LADDERS / f"{stem}{'' if number == 0 else f'-{number + 1}'}.txt"


def _is_crossing(each: _Message, byes: list[_Message]) -> bool:
    of_other = {"BYE": each.is_sent, "200 BYE": not each.is_sent}.get(each.what)
    return of_other is not None and bool(byes) and of_other != byes[0].is_sent


def _header(message: str, name: str) -> str:
    found = re.search(_HEADER.format(name), message, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""
