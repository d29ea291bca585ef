"""A menu from the configuration: a prompt, a key, and on; digits that can begin an extension wait for the next."""

from __future__ import annotations

from pbx.decisions import Decision, FromMenu, NoRoute, ToMenu
from pbx.flows.visit import Visit
from pbx.objects.groups import Menu
from pbx.routing import route


async def run_menu(visit: Visit, target: ToMenu) -> None:
    """Ask until a key leads on; after `tries` wrong or missing ones go to `otherwise`. Raises: CallOutcome."""
    menu = target.menu
    keys = dict(menu.keys)
    for turn in range(menu.tries):
        pressed = await _ask(visit, menu)
        if pressed in keys:
            # Which key it was is not said: who dials on may be at a card number or a PIN.
            visit.call.note("menu %s: a key leads to %s", menu.number, keys[pressed])
            visit.pressed()
            await visit.follow(keys[pressed])
            return
        if menu.direct_dial and len(pressed) > 1 and (decision := _extension(visit, menu, pressed)) is not None:
            visit.pressed()
            await visit.go(decision)
            return
        visit.call.note("menu %s: %s, try %d", menu.number, "no such choice" if pressed else "no key", turn + 1)
        await visit.call.play(visit.prompt(menu.wrong_prompt))
    await visit.follow(menu.otherwise)


async def _ask(visit: Visit, menu: Menu) -> str:
    """The digits of one choice."""
    pressed = await visit.call.ask(
        visit.prompt(menu.prompt or menu.name or menu.number), digits=1, timeout=menu.timeout_s
    )
    while pressed and menu.direct_dial and _begins_extension(visit, pressed):
        digit = await visit.call.ask(None, digits=1, timeout=menu.digit_s)
        if not digit:
            break
        pressed += digit
    return pressed


def _begins_extension(visit: Visit, pressed: str) -> bool:
    """Whether a longer extension begins so."""
    return any(len(number) > len(pressed) and number.startswith(pressed) for number in visit.tenant.extensions)


def _extension(visit: Visit, menu: Menu, pressed: str) -> Decision | None:
    source = FromMenu(menu.number)
    decision = route(visit.directory, visit.call.tenant, pressed, visit.at, source, state=visit.state)
    return None if isinstance(decision.target, NoRoute) else decision
