"""The session timer of one leg (RFC 4028): asked for in our requests, granted in our 2xx, refreshed at half, BYE at
the end. Each leg of a bridge has its own, so that a refresh concerns one side only.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from sipcore.errors import LocalProtocolError, NegotiationError, ParseError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.message import Message, Request, Response
from sipcore.session_timer import (
    OPTION,
    SessionPolicy,
    SessionTerms,
    TooSmall,
    grant,
    min_se,
    raised_by,
    read_success,
    request_headers,
    session_expires,
)
from voipat import reasons
from voipat.alarms import Alarm
from voipat.auth_gate import ALLOW

if TYPE_CHECKING:
    from voipat.call import Call

Headers = tuple[tuple[str, str], ...]

# RFC 4916 §4.1, §4.2: who the peer is may change, and so may who we are.
FROM_CHANGE: Final = "from-change"
SUPPORTED: Final = ("Supported", f"replaces, 100rel, {OPTION}, {FROM_CHANGE}")
# A refresh that was refused is tried again after half of the time that is left, but not more often than this.
SHORTEST_RETRY_S: Final = 5.0


def glare_pause(call: Call) -> float:
    """RFC 3261 §14.1: how long to wait after a 491, by who made the Call-ID, in units of 10 ms."""
    low, high = (2.1, 4.0) if call.direction == "outbound" else (0.0, 2.0)
    return round(call.switch.entropy.uniform(low, high), 2)


class SessionRefresh:
    """The timer of one leg. It does nothing before the leg is answered."""

    __slots__ = (
        *("_alarm", "_end_at", "_raised", "_refresh_at", "_user", "policy", "takes_from_change", "takes_update"),
        "terms",
    )

    def __init__(self, call: Call, policy: SessionPolicy) -> None:
        # Let go of at the end, so that an ended call is in no cycle.
        self._user: Call | None = call
        self.policy = policy
        self.terms: SessionTerms | None = None
        self._raised = 0
        # What the peer takes, as its last message said: UPDATE, and another From in our requests.
        self.takes_update = False
        self.takes_from_change = False
        self._alarm: Alarm | None = None
        self._refresh_at = self._end_at = inf

    # What goes into messages

    def request_headers(self) -> Headers:
        """For an INVITE or UPDATE of ours."""
        return (SUPPORTED, *request_headers(self.policy, self.terms, raised=self._raised))

    def refusal(self, request: Request) -> int | None:
        """The Min-SE for a 422 to the request; None when its interval is fine."""
        verdict = grant(request, self.policy)
        return verdict.min_se if isinstance(verdict, TooSmall) else None

    def granted(self, request: Request) -> Headers:
        """For our 2xx to the request; the timer starts anew."""
        verdict = grant(request, self.policy)
        if isinstance(verdict, TooSmall):
            return ()
        self._learn(request)
        self._arm(verdict.terms)
        return (SUPPORTED, *verdict.headers)

    def agreed(self, response: Response) -> None:
        """The 2xx to a request of ours: the timer starts anew."""
        self._learn(response)
        asked = self.policy.expires if self.terms is None else self.terms.interval
        self._arm(read_success(response, max(asked, self._raised) if asked else 0))

    def raised(self, response: Response) -> bool:
        """Whether a 422 lets us ask again, with the interval that it wants (§7.3)."""
        asked = max(self._raised, self.policy.min_se, self.policy.expires if self.terms is None else 0)
        wanted = raised_by(response, asked if self._raised else 0)
        if wanted is None:
            return False
        self._raised = wanted
        return True

    def close(self) -> None:
        """The leg is over."""
        self._stop()
        self._user = None

    def _stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # Time

    @property
    def _call(self) -> Call:
        assert self._user is not None, "timers are stopped and responses unheard once the leg is over"
        return self._user

    def _learn(self, message: Message) -> None:
        if "Allow" in message.headers:
            self.takes_update = message.headers.has_element("Allow", "UPDATE")
        if "Supported" in message.headers:
            self.takes_from_change = message.headers.has_element("Supported", FROM_CHANGE)
        if isinstance(message, Request) and "Min-SE" in message.headers and session_expires(message) is not None:
            # §7.4: a refresh of ours must not go below what the peer said.
            self._raised = max(self._raised, min_se(message))

    def _arm(self, terms: SessionTerms | None) -> None:
        if self._user is None:
            return
        self.terms = terms
        if terms is None:
            self._stop()
            return
        now = self._user.switch.loop.time()
        self._end_at = now + terms.end_after
        self._refresh_at = now + terms.refresh_after if terms.we_refresh else inf
        self._wait()

    def _wait(self) -> None:
        """For the refresh or the end, whichever is next."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._call.switch.alarms.call_at(min(self._refresh_at, self._end_at), self._due)

    def _due(self) -> None:
        if self._refresh_at >= self._end_at:
            self._expire()
            return
        self._refresh_at = inf
        self._wait()
        self._refresh()

    def _expire(self) -> None:
        self._call.end("server", reasons.SESSION_EXPIRED)

    def _again(self, seconds: float) -> None:
        self._refresh_at = self._call.switch.loop.time() + seconds
        self._wait()

    def ask(self) -> None:
        """Whether the peer is there still, by a refresh ahead of its time: without an answer the call is over."""
        if self._user is not None:
            self._send(_Question(self, self._user))

    def _refresh(self) -> None:
        if not self._send(_Refresh(self, self._call)):
            # Another change is under way, and is a refresh itself when it succeeds.
            self._again(glare_pause(self._call))

    def _send(self, refresh: _Refresh) -> bool:
        """False when that must wait."""
        call = self._call
        dialog, media = call.leg.dialog, call.media
        if dialog is None or media is None or call.ended is not None:
            return True
        method = "UPDATE" if self.takes_update else "INVITE"
        headers: Headers = (("Allow", ALLOW), *self.request_headers())
        body = b""
        if method == "INVITE":
            headers, body = (*headers, ("Content-Type", "application/sdp")), media.offer_unchanged()
        try:
            call.switch.exchange.send_in_dialog(refresh, dialog, method, headers, body)
        except LocalProtocolError:
            return False
        return True

    def refused(self, response: Response) -> None:
        """Our refresh was answered by something other than 2xx; the session goes on until its end."""
        if self._user is None:
            return
        call, status = self._call, response.status
        if status in (408, 481):
            self._expire()
        elif status == 491:
            self._again(glare_pause(call))
        elif status == 422 and self.raised(response):
            self.terms = (
                None if self.terms is None else self.terms._replace(interval=max(self.terms.interval, self._raised))
            )
            self._refresh()
        else:
            if status == 405 or status == 501:
                self.takes_update = False
            left = (self._end_at - call.switch.loop.time()) / 2
            if left >= SHORTEST_RETRY_S:
                self._again(left)

    def lost(self) -> None:
        """Nobody answered our refresh."""
        if self._user is None:
            return
        self._expire()


class _Refresh:
    """Our UPDATE or re-INVITE that changes nothing."""

    def __init__(self, session: SessionRefresh, call: Call) -> None:
        self._session = session
        self._call = call

    def on_response(self, event: ResponseReceived) -> None:
        response = event.response
        if response.status < 200:
            return
        if response.status >= 300:
            self._session.refused(response)
            return
        call = self._call
        if response.cseq.method == "INVITE" and event.dialog is not None:
            call.switch.exchange.ack(event.dialog)
            try:
                if call.media is not None:
                    call.media.read_answer(response.body)
            except (ParseError, NegotiationError):
                call.end("server", reasons.NO_COMMON_CODEC)
                return
        if call.ended is None:
            self._session.agreed(response)

    def on_failure(self, event: RequestFailed) -> None:
        self._session.lost()


class _Question(_Refresh):
    """Likewise, because the peer is silent: any answer says that it is there, but one that knows no such call."""

    def on_response(self, event: ResponseReceived) -> None:
        call, status = self._call, event.response.status
        if status in (408, 481):
            self._silent()
        elif status < 300:
            super().on_response(event)
        if status >= 200 and call.media is not None:
            call.media.expect_anew()

    def on_failure(self, event: RequestFailed) -> None:
        self._silent()

    def _silent(self) -> None:
        if self._call.ended is None:
            self._call.end("server", reasons.MEDIA_TIMEOUT)
