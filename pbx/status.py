"""Figures of the running daemon as one flat object: what `voipat stats` prints."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pbx.output import Row, rfc3339
from pbx.store.base import StoreHealth
from voipat import Binding, Call
from voipat.devices import device_of

LAG_INTERVAL_S: Final = 0.25
LAG_WINDOW_S: Final = 30.0


class LoopLag:
    """How late the event loop runs what is due: the worst of the last half to whole minute."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = loop.time() + LAG_INTERVAL_S
        self._window_ends = loop.time() + LAG_WINDOW_S
        self._worst = [0.0, 0.0]
        self._timer = loop.call_at(self._due, self._measure)

    @property
    def worst_s(self) -> float:
        """Seconds."""
        return max(self._worst)

    def close(self) -> None:
        """Stop measuring."""
        self._timer.cancel()

    def _measure(self) -> None:
        now = self._loop.time()
        if now >= self._window_ends:
            self._worst = [0.0, self._worst[0]]
            self._window_ends = now + LAG_WINDOW_S
        self._worst[0] = max(self._worst[0], now - self._due)
        self._due = now + LAG_INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._measure)


def registration_row(binding: Binding, wallclock: float, reachable: bool | None) -> Row:
    """A registration with the fields of the contract, and whether the phone answers (None: it is not asked)."""
    return {
        "tenant": binding.tenant,
        "aor": binding.aor,
        "contact": binding.contact,
        "received": binding.received,
        "transport": binding.transport,
        "user_agent": binding.user_agent,
        **device_fields(binding.user_agent, binding.instance),
        "expires_s": max(0, round(binding.expires_at - wallclock)),
        "reachable": reachable,
    }


def device_fields(user_agent: str, instance: str) -> Row:
    """What is known of a registered device."""
    device = device_of(user_agent)
    return {"vendor": device.vendor, "model": device.model, "firmware": device.firmware, "instance": instance}


def ban_row(source: str, account: str, left_s: float) -> Row:
    """A ban: of the whole source, or of one account there (a source that others are registered from)."""
    return {"source": source, "account": account or None, "left_s": max(1, round(left_s))}


def call_row(call: Call) -> Row:
    """A call with the fields of the contract."""
    return {
        "id": call.id,
        "tenant": call.tenant,
        "caller": call.caller,
        "callee": call.callee,
        "state": call.state.value,
        "started": _moment(call.started),
        "answered": _moment(call.answered),
        "codec": None if call.media is None else call.media.codec,
        "crypto": None if call.media is None else call.media.crypto,
    }


def prefixed(prefix: str, counters: Mapping[str, int]) -> dict[str, int]:
    """The counters under names that cannot collide: `sip_` and the like in front, lower case, sorted."""
    names = {name: "".join(c if c.isalnum() else "_" for c in name.lower()) for name in counters}
    return {f"{prefix}_{names[name]}": counters[name] for name in sorted(counters)}


def store_figures(health: StoreHealth) -> Row:
    """The writer's queue and what it could not keep."""
    return {
        "store_pending": health.pending,
        "store_committed_rows": health.committed_rows,
        "store_commits": health.commits,
        "store_failures": health.failures,
        "store_refused": sum(health.refused.values()),
        "store_dropped": sum(health.dropped.values()),
        "store_error": health.error,
    }


def _moment(wallclock: float | None) -> str | None:
    return None if wallclock is None else rfc3339(datetime.fromtimestamp(wallclock, UTC))
