"""SimWorld: a server, phones and a network in virtual time, repeatable by its seed.

def test_caller_reaches_sales() -> None:
    with SimWorld(app, seed=7, loss=0.05) as world:
        call = world.phone("sip:alice@example.com").dial("sip:sales@example.com").hangs_up(after=3.0)
        world.run()
        assert call.was_answered
        assert world.leaks() == []
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Protocol

from sipcore.entropy import Entropy, SeededEntropy
from sipcore.flow import Address, Flow
from sipcore.uri import Uri
from voipat.app import App
from voipat.location import Binding
from voipat.testing.call import PhoneCall
from voipat.testing.errors import LeakError, RanTooLongError, ScriptError, SimError
from voipat.testing.loop import VirtualLoop, cancel_all_tasks
from voipat.testing.media import SimEngine
from voipat.testing.network import Conditions, SimNetwork
from voipat.testing.phone import Phone

# 2026-01-01T00:00:00Z: where the wallclock of every world starts.
EPOCH: Final = 1_767_225_600.0

# The longest that a transaction lives after its call (Timer C aside) is 64*T1; an INVITE may wait for all of it twice.
SETTLE_LIMIT: Final = 200.0

# What is still flying when everybody has gone lands within this.
LAST_MESSAGES: Final = 5.0

# How much of a ladder, and of a list of leaks, a failure shows.
REPORTED_RUNGS: Final = 200
REPORTED_LEAKS: Final = 20


class Counted(Protocol):
    """What the leak check asks of an endpoint."""

    @property
    def transaction_count(self) -> int: ...

    @property
    def dialog_count(self) -> int: ...


Factory = Callable[["SimWorld"], App]


class SimWorld:
    """One simulated world. `server` is an App, or a function that makes the server for this world.

    `latency`, `jitter` (seconds), `loss`, `reorder` and `duplicate` (probabilities) hold for every way of the network.
    """

    def __init__(
        self,
        server: App | Factory | None = None,
        *,
        seed: int = 1,
        latency: float = 0.01,
        jitter: float = 0.0,
        loss: float = 0.0,
        reorder: float = 0.0,
        duplicate: float = 0.0,
    ) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.entropy = self.entropy_of("world")
        self.network = SimNetwork(
            self.loop, self.entropy_of("network"), Conditions(latency, jitter, loss, reorder, duplicate)
        )
        self.engine = SimEngine(self.network)
        self.server_entropy = self.entropy_of("server")
        self.server_address = Address("127.0.0.1", 5060)
        self.network.name(self.server_address.host, "voipat")
        self.phones: list[Phone] = []
        self.talk: Callable[[PhoneCall], float] = lambda call: 0.02
        self._given = server
        self._server: App | None = None
        self._endpoints: dict[str, Counted] = {}
        self._calls: list[PhoneCall] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._baseline: frozenset[asyncio.Task[Any]] = frozenset()
        self._faults: list[str] = []
        self._next_host = 0
        self._serving: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._is_closed = False
        self._clock_set_by = 0.0
        self._known: frozenset[Binding] = frozenset()

    # Time

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.loop.time()

    def wallclock(self) -> float:
        """UTC seconds in this world, for CDRs."""
        return EPOCH + self._clock_set_by + self.loop.time()

    def set_clock(self, by: float) -> None:
        """Step the wallclock by so many seconds, as NTP does; the monotonic clock goes on."""
        self._clock_set_by += by

    def run(self, *, until: float | None = None, limit: float = 3600.0) -> None:
        """Run to virtual time `until`; without it, until every call is over and the network is quiet.

        Raises: ScriptError, RanTooLongError after `limit` seconds, DeadlockError.
        """
        if until is not None:
            self.loop.run_until(until)
        else:
            if not self.loop.run_while(self._has_busy_calls, limit=limit, every=1.0):
                raise RanTooLongError(self._report(f"calls are still up after {limit:.0f} s"))
            self.settle()
        self._check()

    def settle(self, *, limit: float = SETTLE_LIMIT) -> None:
        """Run on until no transaction is under way and no dialog is left; what remains after `limit` is a leak."""
        self.loop.run_while(self._is_unsettled, limit=limit, every=1.0)

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Do something at virtual time `when`."""
        self.loop.call_at(when, action)

    # People

    def phone(
        self,
        uri: str,
        *,
        password: str | None = None,
        name: str | None = None,
        tone: int | None = None,
        transport: str = "UDP",
        at: Address | None = None,
    ) -> Phone:
        """A new phone. Two phones may have one URI: they are two devices of one user, on hosts of their own.

        `at` gives it an address, which may be another port of a host that is there already: None for a host of its own.

        Without `password` it has what the App's registrar knows of its user; with an empty one it has none.
        """
        self._next_host += 1
        number = self._next_host
        address = at or Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 5060)
        parsed = Uri.parse(uri)
        if address.host not in {phone.address.host for phone in self.phones}:
            self.network.name(address.host, name or self._free_name(parsed.user or "phone"))
        phone = Phone(
            self,
            parsed,
            address,
            password=password,
            ha1s=self._ha1s_of(parsed) if password is None else {},
            server=None if self._given is None else Flow(transport.upper(), address, self.server_address),
            entropy=self.entropy_of(f"phone {number}"),
            tone=tone if tone is not None else 400 + 50 * (number % 40),
        )
        transport_ = self.loop.run_until_complete(
            self.network.open(phone.driver, f"{transport.lower()}://{address.host}:{address.port}")
        )
        phone.driver.add_transport(transport_)
        self.watch(f"phone {phone.name}", phone.endpoint)
        self.phones.append(phone)
        return phone

    # What happened

    def ladder(self, *, times: bool = True, uris: bool = True) -> str:
        """Every message so far, one a line."""
        return self.network.ladder.text(times=times, uris=uris)

    def trace_digest(self) -> str:
        """A digest of all that the network carried: equal for two runs that did the same."""
        return self.network.ladder.digest()

    def watch(self, name: str, endpoint: Counted) -> None:
        """Let the leak check count the transactions and dialogs of one more endpoint."""
        self._endpoints[name] = endpoint

    def unwatch(self, name: str) -> None:
        """Count an endpoint no longer."""
        self._endpoints.pop(name, None)

    def leaks(self) -> list[str]:
        """What outlived its call: transactions, dialogs, ports, tasks; after the world's end also timers."""
        found: list[str] = []
        for name, endpoint in self._endpoints.items():
            if endpoint.transaction_count:
                found.append(f"{name}: {endpoint.transaction_count} transactions")
            if endpoint.dialog_count:
                found.append(f"{name}: {endpoint.dialog_count} dialogs")
        if self.engine.open_ports:
            found.append(f"engine: {self.engine.open_ports} ports")
        if not self._is_closed:
            found += sorted(f"task {task.get_name()}" for task in self._new_tasks())
        return found

    # Life

    def __enter__(self) -> SimWorld:
        self.loop.set_exception_handler(self._on_exception)
        asyncio.set_event_loop(self.loop)
        if self._given is not None:
            self._begin(self._adopt(self._given) if isinstance(self._given, App) else self._given(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, SimError):
            error.add_note(self._report("the world at this moment"))
        left = self._close()
        if error is None:
            self._check()
            if left:
                shown = "\n".join(left[:REPORTED_LEAKS])
                raise LeakError(self._report(f"{len(left)} left after the world's end:\n{shown}"))

    def restart(self, server: Factory) -> None:
        """End the App, and serve with the one that `server` makes, as a process that starts again; the phones stay."""
        assert self._serving is not None, "there is an App that serves"
        self._stop.set()
        self.loop.run_until_complete(self._serving)
        self._stop, self._baseline = asyncio.Event(), frozenset()
        self._begin(server(self))

    def _begin(self, server: App) -> None:
        self._server = server
        self._serving = self.loop.create_task(self._serve(server), name="server")
        self.loop.run_until(self.now)
        while not self._baseline and not self._serving.done():
            self.loop.run_until(self.now + 0.001)
        if self._serving.done():
            self._serving.result()

    def _close(self) -> list[str]:
        try:
            for phone in self.phones:
                self.loop.run_until_complete(phone._close())
            self._stop.set()
            if self._serving is not None:
                self.loop.run_until_complete(self._serving)
            self._forget_bindings()
            for task in self._tasks:
                task.cancel()
            self.loop.run_until(self.now + LAST_MESSAGES)
            self.engine.close()
            return self._left_behind()
        finally:
            self._is_closed = True
            cancel_all_tasks(self.loop)
            asyncio.set_event_loop(None)
            self.loop.close()

    def _left_behind(self) -> list[str]:
        tasks = [f"task {task.get_name()}" for task in asyncio.all_tasks(self.loop)]
        timers = [repr(timer) for timer in self.loop.armed_timers()]
        return sorted(tasks) + timers

    async def _serve(self, server: App) -> None:
        async with server:
            self._baseline = frozenset(asyncio.all_tasks(self.loop))
            await self._stop.wait()

    def _adopt(self, app: App) -> App:
        """Put an App that was made for production into this world: its network, engine, entropy, wallclock."""
        app.simulate(network=self.network, engine=self.engine, entropy=self.server_entropy, wallclock=self.wallclock)
        self.watch("voipat", app.endpoint)
        self._known = frozenset(app.registrar.location) if app.registrar is not None else frozenset()
        return app

    def _forget_bindings(self) -> None:
        """The next world of the same App starts without the phones of this one."""
        registrar = None if self._server is None else self._server.registrar
        if registrar is None:
            return
        for binding in list(registrar.location):
            if binding not in self._known:
                registrar.location.update(binding.tenant, binding.aor, (), (binding,))

    def _ha1s_of(self, uri: Uri) -> dict[str, str]:
        """What the server itself knows of the user's password, so that tests need not repeat it."""
        registrar = None if self._server is None else self._server.registrar
        domain = None if registrar is None else registrar.accounts.domain(uri.host)
        if registrar is None or domain is None or uri.user is None:
            return {}
        found = {name: registrar.accounts.ha1(domain, uri.user, name) for name in ("MD5", "SHA-256")}
        return {name: value for name, value in found.items() if value is not None}

    def entropy_of(self, part: str) -> Entropy:
        """Each part has a generator of its own, so that one more phone changes nothing for the others."""
        return SeededEntropy(int.from_bytes(hashlib.sha256(f"{self.seed} {part}".encode()).digest()[:8], "big"))

    def _free_name(self, wanted: str) -> str:
        taken = {phone.name for phone in self.phones} | {"voipat"}
        return next(name for n in range(1, 10**6) if (name := wanted if n == 1 else f"{wanted}/{n}") not in taken)

    def _start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self.loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._faults.append(f"{task.get_name()}: {task.exception()!r}")

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _new_tasks(self) -> set[asyncio.Task[Any]]:
        gone = {task for task in self._tasks if task.done()}
        return {task for task in asyncio.all_tasks(self.loop) - self._baseline - gone if task is not self._serving}

    def _has_busy_calls(self) -> bool:
        self._calls = [call for call in self._calls if call.is_busy]
        return bool(self._calls)

    def _is_unsettled(self) -> bool:
        return self.engine.open_ports > 0 or any(
            endpoint.transaction_count or endpoint.dialog_count for endpoint in self._endpoints.values()
        )

    def _check(self) -> None:
        unmet = [line for phone in self.phones for call in phone.calls for line in call.unmet]
        faults, self._faults = self._faults + unmet + self._bugs(), []
        if faults:
            raise ScriptError(self._report("\n".join(faults)))

    def _bugs(self) -> list[str]:
        """Exceptions that the drivers caught: they cost one message in production, and the whole run here."""
        drivers = {f"phone {phone.name}": phone.driver for phone in self.phones}
        if self._server is not None:
            drivers["voipat"] = self._server.driver
        found = {name: driver.counters["failed"] for name, driver in drivers.items()}
        return [f"{count} exceptions in the driver of {name}, see the log" for name, count in found.items() if count]

    def _report(self, what: str) -> str:
        lines = self.network.ladder.lines()[-REPORTED_RUNGS:]
        return "\n".join([what, f"seed {self.seed}, virtual time {self.now:.3f}", *lines])
