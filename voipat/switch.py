"""What every call of one App shares. Made by the App, passed by argument."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sipcore.entropy import Entropy
from sipcore.flow import Flow
from sipcore.uri import Uri
from voipat.events import Event
from voipat.exchange import Exchange
from voipat.location import Binding
from voipat.media_leg import MediaPlane
from voipat.recorder import Recorder
from voipat.speech import PromptSet

if TYPE_CHECKING:
    from voipat.call import Call


@dataclass(slots=True)
class Switch:
    """`lookup` gives the bindings of (tenant, user); `domain_of` the tenant of a URI.

    `is_reachable` says whether the phone of a binding answers; None when nobody asks it.
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
    prompts: PromptSet = field(default_factory=PromptSet)
    calls: dict[str, Call] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
