"""DNS for `Driver(resolve=…)`: RFC 3263 look-ups by dnspython, which never block the loop.

A request waits at most `BUDGET_S`. Answers are kept for their TTL and "there is none" for a while too, in a table of
bounded size; when the servers do not answer, what has expired is used for some time (RFC 8767), and they are not asked
for the name again for a while: a call that waited its two seconds spares the next ones theirs. Those who ask for one
name at the same time share the look-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from sipcore.aio.driver import Driver
from sipcore.entropy import Entropy
from sipcore.locate import Locating, Lookup, Naptr, Record, Srv, Target, locate
from sipcore.outputs import Resolve

logger: Final = logging.getLogger("sipcore.aio")

BUDGET_S: Final = 2.0
# RFC 2308 §5, RFC 8767 §5: bounds on what a zone may ask for, and how long an answer is better than none.
LONGEST_TTL_S: Final = 86_400.0
NEGATIVE_TTL_S: Final = 30.0
STALE_S: Final = 3600.0
# RFC 2308 §7.2, RFC 8767 §5 (failure recheck timer): both allow for more; a resolver that is back is found soon.
SILENT_S: Final = 5.0
# With less time left nothing is asked: no answer could come, and a timer of the loop may be early by a millisecond.
LEAST_S: Final = 0.01
MAX_NAMES: Final = 2000
# Look-ups under way; more are answered with nothing, or with what is stale.
MAX_PENDING: Final = 200

_ORDER: Final = ("UDP", "TCP", "TLS")


@dataclass(frozen=True, slots=True)
class _Known:
    records: Sequence[Record]
    expires: float
    # The servers did not answer: they are not asked before.
    silent_until: float = -inf


class Resolver:
    """Answers the `Resolve` outputs of one driver's endpoint."""

    def __init__(self, entropy: Entropy, *, nameservers: Sequence[str] = (), port: int = 53) -> None:
        """`nameservers` are IP literals; without them those of the system are asked."""
        self._entropy = entropy
        self._nameservers = nameservers
        self._port = port
        self._dns: dns.asyncresolver.Resolver | None = None
        self._known: OrderedDict[Lookup, _Known] = OrderedDict()
        self._pending: dict[Lookup, asyncio.Task[Sequence[Record]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._driver: Driver | None = None
        self.counters: Final[Counter[str]] = Counter()

    def attach(self, driver: Driver) -> None:
        """The driver that is told."""
        self._driver = driver

    def resolve(self, output: Resolve) -> None:
        """Answer with `driver.resolved`, at the latest after `BUDGET_S`."""
        assert self._driver is not None, "attached before anything is sent"
        task = self._driver.loop.create_task(self._answer(self._driver, output))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._tasks, *self._pending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, driver: Driver, output: Resolve) -> None:
        targets: list[Target] = []
        have = {transport.name for transport in driver.transports}
        v6 = {":" in transport.local.host for transport in driver.transports}
        steps = locate(
            output.host,
            output.port,
            output.transport,
            entropy=self._entropy,
            ours=[name for name in _ORDER if name in have],
            kinds=[kind for kind, wanted in (("A", False), ("AAAA", True)) if wanted in v6],
        )
        try:
            targets = await self._walk(steps, driver.loop.time() + BUDGET_S)
        except Exception:
            logger.exception("a name could not be looked up")
        driver.resolved(output.query, targets)

    async def _walk(self, steps: Locating, deadline: float) -> list[Target]:
        records: Sequence[Record] | None = None
        while True:
            try:
                lookup = next(steps) if records is None else steps.send(records)
            except StopIteration as done:
                found: list[Target] = done.value
                return found
            records = await self._records(lookup, deadline)
            if self._is_silent(lookup, asyncio.get_running_loop().time()):
                # Nor will they answer the questions that follow from this one; what is known of those will do.
                deadline = -inf

    def _is_silent(self, lookup: Lookup, now: float) -> bool:
        known = self._known.get(lookup)
        return known is not None and known.expires <= now < known.silent_until

    async def _records(self, lookup: Lookup, deadline: float) -> Sequence[Record]:
        now = asyncio.get_running_loop().time()
        known = self._known.get(lookup)
        if known is not None and known.expires > now:
            return known.records
        pending = None
        if deadline - now > LEAST_S and not self._is_silent(lookup, now):
            pending = self._pending.get(lookup)
            if pending is None and len(self._pending) < MAX_PENDING:
                pending = self._pending[lookup] = asyncio.create_task(self._ask(lookup))
                pending.add_done_callback(partial(self._asked, lookup))
        if pending is not None:
            done, _ = await asyncio.wait((pending,), timeout=deadline - now)
            if done and not pending.cancelled() and pending.exception() is None:
                return pending.result()
        if known is not None and known.records and known.expires + STALE_S > now:
            self.counters["dns_stale"] += 1
            return known.records
        self.counters["dns_failed"] += 1
        return ()

    def _asked(self, lookup: Lookup, task: asyncio.Task[Sequence[Record]]) -> None:
        self._pending.pop(lookup, None)
        # One that fails at once may be unable to answer for this kind of record alone (NAPTR is new to some).
        if task.cancelled() or not isinstance(task.exception(), dns.exception.Timeout):
            return
        known, now = self._known.get(lookup), task.get_loop().time()
        before = _Known((), -inf) if known is None else known
        self._keep(lookup, replace(before, silent_until=now + SILENT_S))

    async def _ask(self, lookup: Lookup) -> Sequence[Record]:
        """Raises: DNSException, OSError, when nobody answers."""
        if self._dns is None:
            self._dns = self._made()
        self.counters["dns_queries"] += 1
        ttl, records = NEGATIVE_TTL_S, ()  # type: tuple[float, Sequence[Record]]
        try:
            answer = await self._dns.resolve(lookup.name, lookup.kind, raise_on_no_answer=False, search=False)
        except (dns.resolver.NXDOMAIN, dns.exception.SyntaxError, dns.exception.FormError):
            pass
        else:
            if answer.rrset is not None:
                records, ttl = [_record(data) for data in answer.rrset], float(answer.rrset.ttl)
        self._keep(lookup, _Known(records, asyncio.get_running_loop().time() + min(ttl, LONGEST_TTL_S)))
        return records

    def _keep(self, lookup: Lookup, known: _Known) -> None:
        self._known[lookup] = known
        self._known.move_to_end(lookup)
        if len(self._known) > MAX_NAMES:
            self._known.popitem(last=False)

    def _made(self) -> dns.asyncresolver.Resolver:
        made = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            made.nameservers = list(self._nameservers)
        made.port = self._port
        made.timeout, made.lifetime = 0.7, BUDGET_S
        return made


def _record(data: object) -> Record:
    kind = data.rdtype  # type: ignore[attr-defined]
    if kind == dns.rdatatype.SRV:
        return Srv(data.priority, data.weight, data.port, data.target.to_text())  # type: ignore[attr-defined]
    if kind == dns.rdatatype.NAPTR:
        flags, service = data.flags.decode("ascii", "replace"), data.service.decode("ascii", "replace")  # type: ignore[attr-defined]
        return Naptr(data.order, data.preference, flags, service, data.replacement.to_text())  # type: ignore[attr-defined]
    return str(data.address)  # type: ignore[attr-defined]
