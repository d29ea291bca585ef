"""Phones in calls to the echo that send RTP beside a load: what comes back says what the load does to media."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Final, Self

from bench.rig.extensions import EXTENSIONS, FIRST
from bench.rig.media import Phones
from bench.rig.processes import free_port
from tests.faults.phone_by_hand import PhoneByHand

_MEDIA: Final = re.compile(rb"m=audio (\d+) ")
NUMBER: Final = "*43"


class Echoes:
    """`count` calls that are up for as long as the `with` block, with RTP for `seconds`."""

    def __init__(self, port: int, count: int, seconds: float) -> None:
        # The last extensions: the load calls as the first ones.
        users = [str(FIRST + EXTENSIONS - 1 - number) for number in range(count)]
        self._phones = [PhoneByHand("127.0.2.9", ("127.0.0.1", port), user, f"pass-{user}") for user in users]
        self._seconds = seconds

    def __enter__(self) -> Self:
        streams = []
        for phone in self._phones:
            local = free_port()
            answer = phone.dial(NUMBER, local)
            found = _MEDIA.search(answer.body)
            assert found is not None, f"no audio in the answer: {answer.body!r}"
            streams.append((local, int(found[1])))
        self._media = Phones(streams, self._seconds)
        return self

    def heard(self) -> dict[str, Any]:
        """What `run_phones` says, when all of it was sent."""
        return self._media.end()[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for phone in self._phones:
            phone.hang_up()
            phone.close()
