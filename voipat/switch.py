"""What every call of one App shares. Made by the App, passed by argument."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sipcore.entropy import Entropy
from sipcore.flow import Flow
from sipcore.session_timer import SessionPolicy
from sipcore.uri import Uri
from voipat.alarms import Alarms
from voipat.events import Event
from voipat.exchange import Exchange
from voipat.location import Binding
from voipat.media_plane import MediaPlane
from voipat.recorder import Recorder
from voipat.speech import PromptSet

if TYPE_CHECKING:
    from voipat.bridge import Bridge
    from voipat.call import Call
    from voipat.conference import Room
    from voipat.connected import ConnectedPolicy
    from voipat.errors import CallOutcome
    from voipat.reasons import Reason
    from voipat.redirecting import RedirectPolicy

Handler = Callable[["Call"], Awaitable[object]]
ReferPolicy = Callable[["Call", Uri], "Reason | None"]
BridgeHandler = Callable[["Bridge"], "Coroutine[Any, Any, object] | None"]


@dataclass(slots=True)
class Switch:
    """`lookup` gives the bindings of (tenant, user); `domain_of` the tenant of a URI.

    `is_reachable` says whether the phone of a binding answers; None when nobody asks it. `handler_of` gives the handler
    of a call by whom it is for; `run_handler` runs one to its end and says how it ended; `forget` takes a call out of
    `calls`; `on_refer` is asked about a transfer that a phone wants; `on_bridge` sees to calls that are joined.
    `on_redirect` is asked about a 3xx of a phone, `connected` whom a peer is told to talk with.
    """

    loop: asyncio.AbstractEventLoop
    exchange: Exchange
    media: MediaPlane
    entropy: Entropy
    wallclock: Callable[[], float]
    publish: Callable[[Event], None]
    lookup: Callable[[str, str], Sequence[Binding]]
    is_reachable: Callable[[Binding], bool | None]
    domain_of: Callable[[Uri, Flow], str | None]
    recorder: Recorder
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    handler_of: Callable[[Call], Handler | None]
    run_handler: Callable[[Call, Handler | None], Coroutine[Any, Any, CallOutcome | None]]
    forget: Callable[[Call], None]
    on_refer: ReferPolicy | None = None
    on_bridge: BridgeHandler | None = None
    on_redirect: RedirectPolicy | None = None
    connected: ConnectedPolicy | None = None
    prompts: PromptSet = field(default_factory=PromptSet)
    calls: dict[str, Call] = field(default_factory=dict)
    rooms: dict[tuple[str, str], Room] = field(default_factory=dict)  # by tenant and name
    counters: Counter[str] = field(default_factory=Counter)
    session: SessionPolicy = field(default_factory=SessionPolicy)
    alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.loop)

    def join(self, joined: str, linked_id: str) -> None:
        """Two calls became one (transfer, pickup, park): every leg of the call `joined` is one of the other now."""
        for call in self.calls.values():
            for leg in (call, *call.attempts):
                if leg.linked_id == joined:
                    leg.linked_id = linked_id
