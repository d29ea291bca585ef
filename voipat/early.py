"""The media of several early dialogs of one INVITE: a proxy on the way has forked it (RFC 3261 §13.2.2.4, RFC 3960).

Who sends a description last is heard; when its dialog ends by a 199 (RFC 6228) the one before is heard again. The 2xx
decides: by its own description, or by what its dialog said before. Each early dialog has its own answer to our offer.
"""

from __future__ import annotations

from typing import Final

from sipcore.events import DialogId

# Of more than so many at once the oldest is forgotten; a 2xx in its dialog then has to describe itself.
MAX_DIALOGS: Final = 16


class EarlyAnswers:
    """What provisional responses said of media, by dialog (None: a peer without tags), the last one at the end."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[DialogId | None, bytes] = {}

    def said(self, dialog: DialogId | None, body: bytes) -> None:
        """A dialog has described its media."""
        self._answers.pop(dialog, None)
        self._answers[dialog] = body
        if len(self._answers) > MAX_DIALOGS:
            del self._answers[next(iter(self._answers))]

    def of(self, dialog: DialogId | None) -> bytes:
        """The last description of a dialog, b"" when it has none."""
        return self._answers.get(dialog) or self._answers.get(None) or b""

    def ended(self, dialog: DialogId | None) -> bytes:
        """An early dialog is over; the description to go back to when it was the one that is heard, else b""."""
        is_heard = bool(self._answers) and next(reversed(self._answers)) == dialog
        self._answers.pop(dialog, None)
        return next(reversed(self._answers.values())) if is_heard and self._answers else b""

    def clear(self) -> None:
        """The INVITE has its final response."""
        self._answers.clear()
