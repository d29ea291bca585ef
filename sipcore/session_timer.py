"""Session timers without a clock: RFC 4028. What our requests ask, what a UAS grants (table 2), what a 2xx means.

`SessionTerms` is what two sides agreed on: the interval, and who refreshes. The refresher asks again at half of it
(§7.4, §10); the other side hangs up min(32 s, a third) before its end, and so does a refresher whom nobody answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from sipcore.message import Message, Request, Response
from sipcore.values import made_in_c

OPTION: Final = "timer"
# §4: "The absolute minimum" of Session-Expires, and the default of Min-SE.
SMALLEST_SE: Final = 90
_LARGEST_SE: Final = 2**31 - 1
_HURRY_S: Final = 32.0

_SECONDS = re.compile(r"\s*([0-9]{1,10})\s*(?:;(.*))?")

# Table 2: (UAC supports timer, refresher in the request) → refresher in the response. Where the table leaves the
# choice, we refresh: a dead peer is then noticed by our own request.
REFRESHER: Final = {
    (False, None): "uas",
    (False, "uac"): "uas",  # "NA" in the table: who does not support it can't refresh, whatever it writes
    (False, "uas"): "uas",
    (True, None): "uas",
    (True, "uac"): "uac",
    (True, "uas"): "uas",
}


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What a leg of ours wants: the interval in seconds (0: no timer of ours), and the shortest that it takes."""

    expires: int = 1800
    min_se: int = SMALLEST_SE


@made_in_c
class SessionTerms(NamedTuple):
    """What is in force: seconds, and whether we refresh."""

    interval: int
    we_refresh: bool

    @property
    def refresh_after(self) -> float:
        """§7.4: the refresh is sent after half of the interval."""
        return self.interval / 2

    @property
    def end_after(self) -> float:
        """§10: BYE "slightly before the session expiration [...] the minimum of 32 seconds and one third"."""
        return self.interval - min(_HURRY_S, self.interval / 3)


@made_in_c
class SessionExpires(NamedTuple):
    """The header: seconds and the refresher parameter."""

    seconds: int
    refresher: str | None


@made_in_c
class Granted(NamedTuple):
    """The UAS takes the request: the terms (None: no timer) and the headers of its 2xx."""

    terms: SessionTerms | None
    headers: tuple[tuple[str, str], ...]


class TooSmall(NamedTuple):
    """The UAS answers 422 with this Min-SE."""

    min_se: int


def session_expires(message: Message) -> SessionExpires | None:
    """The Session-Expires of a message; None when it has none that can be read."""
    found = _SECONDS.fullmatch(message.headers.get("Session-Expires") or "")
    if found is None:
        return None
    refresher = None
    for parameter in (found[2] or "").split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "refresher" and value.strip().lower() in ("uac", "uas"):
            refresher = value.strip().lower()
    return SessionExpires(min(int(found[1]), _LARGEST_SE), refresher)


def min_se(message: Message) -> int:
    """The Min-SE of a message; without one the smallest there may be."""
    found = _SECONDS.fullmatch(message.headers.get("Min-SE") or "")
    return SMALLEST_SE if found is None else max(SMALLEST_SE, min(int(found[1]), _LARGEST_SE))


def request_headers(
    policy: SessionPolicy, terms: SessionTerms | None = None, *, raised: int = 0
) -> tuple[tuple[str, str], ...]:
    """What an INVITE or UPDATE of ours says: `terms` are those in force, `raised` the largest Min-SE of a 422.

    §7.1, §7.4: a refresh names the role that we have; the first request leaves it to the UAS.
    """
    wanted = policy.expires if terms is None else terms.interval
    if not wanted:
        return ()
    refresher = "" if terms is None else ";refresher=uac" if terms.we_refresh else ";refresher=uas"
    seconds = max(wanted, policy.min_se, raised, SMALLEST_SE)
    lower = max(policy.min_se, raised)
    floor = (("Min-SE", str(lower)),) if lower > SMALLEST_SE or raised else ()
    return (("Session-Expires", f"{seconds}{refresher}"), *floor)


def grant(request: Request, policy: SessionPolicy) -> Granted | TooSmall:
    """What the UAS does with an INVITE or UPDATE (§9)."""
    asked = session_expires(request)
    supports = request.headers.has_element("Supported", OPTION) or request.headers.has_element("Require", OPTION)
    floor = max(policy.min_se, SMALLEST_SE)
    if asked is not None and supports and asked.seconds < floor:
        return TooSmall(floor)
    interval = _interval(asked, policy, min_se(request))
    if interval is None:
        return Granted(None, ())
    refresher = REFRESHER[supports, None if asked is None else asked.refresher]
    required = (("Require", OPTION),) if supports else ()
    header = ("Session-Expires", f"{interval};refresher={refresher}")
    return Granted(SessionTerms(interval, refresher == "uas"), (header, *required))


def _interval(asked: SessionExpires | None, policy: SessionPolicy, lowest: int) -> int | None:
    """§9: the UAS may lower the interval, but not below the Min-SE of the request, and never raise it."""
    own = max(policy.expires, policy.min_se, lowest, SMALLEST_SE) if policy.expires else None
    if asked is None:
        return own
    seconds = max(asked.seconds, SMALLEST_SE)
    return seconds if own is None else min(seconds, own)


def read_success(response: Response, asked: int) -> SessionTerms | None:
    """What the 2xx to our request means (§7.2); `asked` is the interval that we wrote, 0 for none.

    A UAS that knows no timers says nothing, and then we refresh by ourselves.
    """
    granted = session_expires(response)
    if granted is None:
        return SessionTerms(asked, we_refresh=True) if asked else None
    return SessionTerms(max(granted.seconds, SMALLEST_SE), we_refresh=granted.refresher != "uas")


def raised_by(response: Response, before: int) -> int | None:
    """The Min-SE that our next request needs after a 422; None when that 422 cannot be satisfied (§7.3).

    A peer that asks for no more than we already gave would make us ask for ever.
    """
    wanted = min_se(response)
    return wanted if response.status == 422 and wanted > before else None
