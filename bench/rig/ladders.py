"""SIP messages out of sipp's -trace_msg file: enough of them to know which media ports were agreed."""

from __future__ import annotations

import re
from pathlib import Path

SEPARATOR = re.compile(r"^-{20,}.*$", re.MULTILINE)
DIRECTION = re.compile(r"message (sent|received)")


def messages(path: Path) -> list[tuple[str, str]]:
    """(direction, text) of each message, in order; direction is "sent" or "received"."""
    found = []
    for part in SEPARATOR.split(path.read_text(errors="replace")):
        direction = DIRECTION.search(part)
        if direction is not None:
            found.append((direction[1], part.split("\n\n", 1)[-1].replace("\r\n", "\n")))
    return found


def call_id(text: str) -> str:
    match = re.search(r"^(?:Call-ID|i)\s*:\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    assert match is not None, text[:200]
    return match[1]


def media_address(text: str) -> tuple[str, int] | None:
    """Address and port of m=audio, None when the message has no SDP."""
    audio = re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    address = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE)
    return (address[1], int(audio[1])) if audio and address else None


def media_pairs(path: Path) -> dict[str, tuple[int, str, int]]:
    """Per call: our RTP port, the server's address and the server's port."""
    local: dict[str, int] = {}
    remote: dict[str, tuple[str, int]] = {}
    for direction, text in messages(path):
        media = media_address(text)
        if media is None:
            continue
        if direction == "sent":
            local[call_id(text)] = media[1]
        else:
            remote[call_id(text)] = media
    return {call: (local[call], *remote[call]) for call in local if call in remote}
