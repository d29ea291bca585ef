"""What phones press within a call: `##` blind transfer, `*2` attended transfer, `*1` recording; and what rules record.

Beside every bridge, whatever flow made it: it ends with the bridge. The other side hears music while its transferor
dials; what the transferor then reaches is routed as if its phone had dialled it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from pbx.directory import Directory, LiveDirectory
from pbx.flows.recording import Tape
from pbx.flows.visit import Desk
from pbx.objects.features import FeaturesConfig
from pbx.recording_rules import extension_of, recorded_side
from pbx.tenants import ExtensionConfig, TenantConfig
from voipat import SIGNALS, Bridge, Call, Codes, Music, Rejected

LONGEST: Final = 32
FIRST_DIGIT_S: Final = 8.0
NEXT_DIGIT_S: Final = 3.0
CANCEL: Final = "*"
END: Final = "#"
RINGBACK: Final = SIGNALS["us"].ringback

Conversation = Coroutine[Any, Any, object]
# Not a bound method: who keeps those of his own is in a cycle, with both calls.
Action = Callable[["_InCall", Call], Awaitable[None]]


def in_call(desk: Desk, directory: LiveDirectory) -> Callable[[Bridge], Conversation | None]:
    """What sees to each bridge; nothing where nobody may press anything."""

    def attend(bridge: Bridge) -> Conversation | None:
        _give_music(desk, directory.current, bridge)
        found = _InCall(desk, directory.current, bridge)
        return found.run() if found.codes or found.recorded is not None else None

    return attend


def _give_music(desk: Desk, directory: Directory, bridge: Bridge) -> None:
    """What each side hears while the other one has put it on hold."""
    found: dict[str, Music | None] = {}
    for leg in (bridge.a_leg, bridge.b_leg):
        if leg.on_hold is None:
            if leg.tenant not in found:
                found[leg.tenant] = _music_of(desk, directory, leg.tenant)
            leg.on_hold = found[leg.tenant]


def _music_of(desk: Desk, directory: Directory, domain: str) -> Music | None:
    tenant = directory.maybe_tenant(domain)
    if tenant is None:
        return None
    settings = tenant.plan.settings
    return None if not settings.music else desk.musics.of(desk.prompts.find(settings.music, settings.language))


class _InCall:
    """One bridge."""

    def __init__(self, desk: Desk, directory: Directory, bridge: Bridge) -> None:
        self._desk = desk
        self._directory = directory
        self._bridge = bridge
        tenant = directory.maybe_tenant(bridge.a_leg.tenant)
        extensions = {leg: extension_of(directory, leg) for leg in (bridge.a_leg, bridge.b_leg)}
        self._tape = Tape(desk, bridge, "" if tenant is None else tenant.plan.settings.language)
        self.recorded = None
        if desk.recordings is not None and tenant is not None:
            self.recorded = recorded_side(tenant, bridge, extensions)
        self.codes: dict[Call, dict[str, Action]] = {}
        for leg, extension in extensions.items():
            if extension is not None and (found := self._codes_of(leg, extension)):
                self.codes[leg] = found

    async def run(self) -> None:
        """Until the bridge is over. Raises: CallOutcome."""
        try:
            pressed = self._listen() if self.codes else None
            if self.recorded is not None:
                await self._tape.begin(self.recorded)
            if pressed is None:
                await self._bridge.a_leg.hung_up()
                return
            async for each in pressed:
                await self.codes[each.call][each.code](self, each.call)
                pressed.forget()
        finally:
            await self._tape.close()

    def _listen(self) -> Codes:
        gap = max(self._tenant(leg).features.digit_gap_s for leg in self.codes)
        return self._bridge.codes({leg: tuple(codes) for leg, codes in self.codes.items()}, gap=gap)

    def _tenant(self, leg: Call) -> TenantConfig:
        return self._directory.tenant(leg.tenant)

    def _codes_of(self, leg: Call, extension: ExtensionConfig) -> dict[str, Action]:
        features: FeaturesConfig = self._tenant(leg).features
        wanted: list[tuple[str | None, Action]] = []
        if self._desk.recordings is not None and extension.record != "never":
            wanted.append((features.record, _InCall._record))
        if extension.transfer and not self._bridge.is_consultation:
            wanted += [(features.blind_transfer, _InCall._blind), (features.attended_transfer, _InCall._attended)]
        return {code: action for code, action in wanted if code is not None}

    async def _record(self, by: Call) -> None:
        await self._tape.pressed(by, by.own_number)

    async def _blind(self, by: Call) -> None:
        await self._transfer(by, self._send_on)

    async def _attended(self, by: Call) -> None:
        await self._transfer(by, self._bridge.consult)

    async def _transfer(self, by: Call, how: Callable[[Call, str], Awaitable[None]]) -> None:
        tenant = self._tenant(by)
        music = _music_of(self._desk, self._directory, by.tenant)
        async with self._bridge.apart(by, music=music):
            number = await _asked(by, tenant)
            if not number:
                return
            try:
                await how(by, number)
            except Rejected as refused:
                if by.outcome is not None:
                    raise
                by.note("transfer to %s: %s %s", number, refused.reason.id, refused.reason.text)
                await by.say("feature/transfer-failed")

    async def _send_on(self, by: Call, number: str) -> None:
        async with by.meanwhile(by.play(RINGBACK, loop=True)):
            await self._bridge.transfer(by, number)


async def _asked(by: Call, tenant: TenantConfig) -> str:
    """The number to transfer to, "" when he thought better of it."""
    pressed = await by.ask(by.prompts.say(["feature/transfer"]), digits=1, timeout=FIRST_DIGIT_S)
    if pressed in (CANCEL, END):
        return ""
    while pressed and len(pressed) < LONGEST and not _is_whole(pressed, tenant):
        digit = await by.ask(None, digits=1, timeout=NEXT_DIGIT_S)
        if not digit or digit == END:
            break
        pressed += digit
    return pressed


def _is_whole(pressed: str, tenant: TenantConfig) -> bool:
    """Whether nothing longer begins so."""
    numbers = tenant.extensions
    return pressed in numbers and not any(len(each) > len(pressed) and each.startswith(pressed) for each in numbers)
