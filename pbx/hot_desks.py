"""Hot desks: who has logged in at which shared phone, and until when.

A login is part of the tenant's state, so that it outlives restarts and reloads. A person sits at one desk, and at a
desk sits one person: the newer login wins. While logged in the person's calls ring at the desk and nowhere else.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pbx.directory import LiveDirectory
from pbx.tenant_state import LiveState
from pbx.wrong_tries import WrongTries
from voipat import App, Person

log: Final = logging.getLogger(__name__)

PERSON: Final = "desk.person"
_SINCE: Final = " since "
# A wallclock that is set meanwhile is noticed within this time.
LONGEST_SLEEP_S: Final = 600.0


class Seat(NamedTuple):
    """Somebody at a desk; `phone` and `person` are extensions."""

    tenant: str
    phone: str
    person: str
    since: float


class HotDesks:
    """The logins of every tenant: the `voipat.Seats` of the PBX."""

    def __init__(self, directory: LiveDirectory, state: LiveState) -> None:
        self._directory = directory
        self._state = state
        self._wallclock: Callable[[], float] = lambda: 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.by_phone: dict[tuple[str, str], Seat] = {}
        self._by_person: dict[tuple[str, str], Seat] = {}
        self.tries: Final = WrongTries(state, "desk")
        self.on_moved: Callable[[Seat], None] = _nobody
        for domain in directory.current.tenants:
            for phone, key, value in state.tenant(domain).entries():
                if key == PERSON:
                    person, _, since = value.partition(_SINCE)
                    self._take(Seat(domain, phone, person, float(since)))

    def attach(self, app: App) -> None:
        """Let the calls of the App know who sits where."""
        self._wallclock = app.wallclock
        app.seat(self)
        app.add_service(self)

    async def start(self, app: App) -> None:
        """Called by the App: who should have been logged out meanwhile is."""
        self._loop = asyncio.get_running_loop()
        self.settle()

    async def stop(self) -> None:
        """Called by the App at its end; the logins stay."""
        if self._timer is not None:
            self._timer.cancel()

    # What calls ask

    def person_at(self, tenant: str, phone: str) -> Person | None:
        """Who has logged in at a desk."""
        seat = self.by_phone.get((tenant, phone))
        extension = None if seat is None else self._directory.current.extension(tenant, seat.person)
        return None if seat is None or extension is None else Person(seat.person, extension.name or None)

    def phone_of(self, tenant: str, user: str) -> str:
        """The desk of a person who has logged in, else the person's own phones."""
        seat = self._by_person.get((tenant, user))
        return user if seat is None else seat.phone

    def seats(self, tenant: str | None = None) -> Iterator[Seat]:
        """Who sits where."""
        return (seat for seat in sorted(self.by_phone.values()) if tenant in (None, seat.tenant))

    # Coming and going

    def log_in(self, tenant: str, phone: str, person: str, given: str) -> bool:
        """Whether the PIN is right; then the person sits there. Wrong ones lock the person and the desk for a while."""
        now, extension = self._wallclock(), self._directory.current.extension(tenant, person)
        wanted = "" if extension is None else extension.desk_pin
        if self.is_locked(tenant, phone, person):
            return False
        # Only who can log in is counted: strangers' numbers must not fill the store.
        owners = (phone, person) if wanted else (phone,)
        if not wanted or not hmac.compare_digest(wanted.encode(), given.encode()):
            for owner in owners:
                self.tries.wrong(tenant, owner, now)
            return False
        for owner in owners:
            self.tries.right(tenant, owner)
        for before in (self.by_phone.get((tenant, phone)), self._by_person.get((tenant, person))):
            if before is not None:
                self.log_out(before)
        seat = Seat(tenant, phone, person, now)
        self._take(seat)
        self._state.tenant(tenant).set(phone, PERSON, f"{person}{_SINCE}{now!r}")
        self.on_moved(seat)
        self._schedule()
        return True

    def is_locked(self, tenant: str, phone: str, person: str) -> bool:
        """Whether no PIN is taken there, or from there, now."""
        now = self._wallclock()
        return any(self.tries.is_locked(tenant, owner, now) for owner in (phone, person))

    def at(self, tenant: str, phone: str) -> Seat | None:
        """The login at a desk."""
        return self.by_phone.get((tenant, phone))

    def log_out(self, seat: Seat) -> None:
        """The desk is nobody's again."""
        if self.by_phone.pop((seat.tenant, seat.phone), None) is not None:
            self._by_person.pop((seat.tenant, seat.person), None)
            self._state.tenant(seat.tenant).set(seat.phone, PERSON, None)
            log.info("logged out", extra={"tenant": seat.tenant, "desk": seat.phone, "person": seat.person})
            self.on_moved(seat)

    def settle(self) -> None:
        """Log out whose time is over, and whoever a reload took the desk or the PIN from."""
        now = self._wallclock()
        for seat in list(self.seats()):
            due = self._due(seat)
            if not self._may_sit(seat) or (due is not None and due <= now):
                self.log_out(seat)
        self._schedule()

    def _take(self, seat: Seat) -> None:
        self.by_phone[seat.tenant, seat.phone] = self._by_person[seat.tenant, seat.person] = seat

    def _may_sit(self, seat: Seat) -> bool:
        directory = self._directory.current
        desk, person = (directory.extension(seat.tenant, number) for number in (seat.phone, seat.person))
        return desk is not None and desk.desk and person is not None and person.desk_pin != ""

    def _due(self, seat: Seat) -> float | None:
        if not self._directory.current.serves(seat.tenant):
            return None
        plan = self._directory.current.tenant(seat.tenant).plan
        moment = plan.hot_desking.log_out_at
        return first_after(seat.since, moment, plan.settings.time_zone) if moment else None

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is None:
            return
        dues = [due for seat in self.by_phone.values() if (due := self._due(seat)) is not None]
        if dues:
            left = min(max(min(dues) - self._wallclock(), 0.0), LONGEST_SLEEP_S)
            self._timer = self._loop.call_later(left, self.settle)


def first_after(since: float, moment: str, time_zone: str) -> float:
    """The wallclock at which a time of day `HH:MM` comes for the first time after `since`."""
    local = datetime.fromtimestamp(since, UTC).astimezone(ZoneInfo(time_zone))
    hour, minute = map(int, moment.split(":"))
    for days in (0, 1):
        found = (local + timedelta(days)).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
        if found.timestamp() > since:
            return found.timestamp()
    return found.timestamp() + 86_400.0  # the hour that comes twice in autumn was meant


def _nobody(seat: Seat) -> None: ...
