"""The registrar as an App serves it: answers to REGISTER, who is registered where, and the sweep of what expires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from sipcore.entropy import Entropy
from sipcore.events import RequestReceived
from sipcore.flow import Flow
from sipcore.guard import Guard
from sipcore.uri import Uri, escape_user
from voipat.accounts import Identity
from voipat.events import Event
from voipat.exchange import Exchange
from voipat.location import Binding, expiry_of
from voipat.parties import user_of
from voipat.registrar import Registrar
from voipat.seats import Caller, Seats, caller_of
from voipat.subscriptions import Resource, Subscriptions
from voipat.wallclock import watched

# Expired bindings are swept in batches: lookups never see them anyway.
EXPIRY_STEP_S: Final = 1.0


class Registrations:
    """Without a registrar nobody is registered, and no phone is asked."""

    def __init__(self, registrar: Registrar | None, subscriptions: Subscriptions, guard: Guard | None) -> None:
        self.registrar: Final = registrar
        self.seats: Seats | None = None
        self._subscriptions = subscriptions
        self._guard = guard
        self._wallclock: Callable[[], float] = lambda: 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._expires_at = inf

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        wallclock: Callable[[], float],
        publish: Callable[[Event], None],
        entropy: Entropy,
    ) -> None:
        """The App begins."""
        self._loop = loop
        registrar = self.registrar
        if registrar is None:
            return
        self._wallclock = watched(wallclock, loop.time, self._clock_was_set)
        registrar.start(self._wallclock, publish, entropy)
        # Whose phones were registered before the start is no stranger.
        if self._guard is not None:
            ahead = loop.time() - self._wallclock()
            for binding in registrar.location:
                self._guard.registered(binding.flow.remote.host, ahead + binding.expires_at)

    def _clock_was_set(self, by: float) -> None:
        assert self.registrar is not None, "watched for one"
        self.registrar.clock_was_set(by)
        self._expires_at += by
        self._subscriptions.clock_was_set()

    def serve(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        """The App can send now."""
        self._schedule_expiry()
        if self.registrar is not None:
            self.registrar.keep_alive(exchange, loop)

    def stop(self) -> None:
        """The App ends."""
        if self.registrar is not None:
            self.registrar.stop()
        if self._expiry is not None:
            self._expiry.cancel()
        self._expires_at = inf
        self._loop = None

    def lookup(self, tenant: str, user: str) -> Sequence[Binding]:
        """The phones that registered as this user."""
        return () if self.registrar is None else self.registrar.lookup(tenant, user)

    def knows(self, identity: Identity) -> bool:
        """Whether there is such a user; a trunk is none of the registrar's."""
        if self.registrar is None or type(identity) is not Identity:
            return True
        accounts, (tenant, user) = self.registrar.accounts, (identity.tenant, identity.user)
        if accounts.domain(tenant) is None:
            return False
        return any(accounts.ha1(tenant, user, name) is not None for name in accounts.digest(tenant, user))

    def phones_of(self, tenant: str, user: str) -> Sequence[Binding]:
        """The phones that ring for a user, who may sit at another's."""
        return self.lookup(tenant, user if self.seats is None else self.seats.phone_of(tenant, user))

    def caller_of(self, event: RequestReceived) -> Caller:
        """Whose a request is."""
        identity = event.identity if isinstance(event.identity, Identity) else None
        return caller_of(self.seats, identity, event.request.from_)

    def is_registered(self, user: Uri, tenant: str | None, host: str) -> bool:
        """Whether a user of a tenant has a phone at this host."""
        registrar = self.registrar
        if registrar is None or tenant is None:
            return False
        for each in registrar.lookup(tenant, user_of(user)):  # noqa: SIM110  # nearly always one
            if each.flow.remote.host == host:
                return True
        return False

    def is_reachable(self, binding: Binding) -> bool | None:
        """Whether the phone answers; None when nobody asks it."""
        return None if self.registrar is None else self.registrar.is_reachable(binding)

    def canonical(self, uri: Uri, domain: str | None) -> Uri:
        """An address of ours, which names this domain, with the domain in it; a foreign one (None) as it is."""
        gruus = None if self.registrar is None else self.registrar.gruus
        if domain is not None and gruus is not None and (found := gruus.resolve(domain, uri)) is not None:
            # A temporary GRUU names nobody to others, and one device of a user to us.
            user, instance = found
            uri = uri.replace(user=escape_user(user), params={**uri.params, "gr": instance.strip("<>")})
        return uri if domain is None or domain == uri.host else uri.replace(host=domain, port=None)

    def receive(self, exchange: Exchange, event: RequestReceived) -> None:
        """Answer a REGISTER."""
        identity = event.identity
        assert self.registrar is not None and isinstance(identity, Identity), "the gate admits no other"
        status, headers, reason = self.registrar.register(event.request, event.flow, identity)
        if reason is not None:
            headers.append(reason.warning(str(event.flow.local)))
        exchange.respond(event.transaction, status, headers)
        if reason is None:
            self._registered(event.flow, identity, exchange.driver.now())
        if event.flow.reliable:
            exchange.driver.authenticated(event.flow)

    def _registered(self, flow: Flow, identity: Identity, now: float) -> None:
        registrar = self.registrar
        assert registrar is not None, "who has answered a REGISTER"
        bindings = registrar.lookup(identity.tenant, identity.user)
        if not bindings:
            return
        if self._guard is not None:
            self._guard.registered(flow.remote.host, now + max(map(expiry_of, bindings)) - self._wallclock())
        if min(map(expiry_of, bindings)) < self._expires_at:
            self._schedule_expiry()
        self._subscriptions.tell_phones(Resource(identity.tenant, identity.user), bindings, flow)

    def _schedule_expiry(self) -> None:
        """Set the timer for the earliest expiry, unless one that is no later is set."""
        due = None if self.registrar is None else self.registrar.location.next_expiry()
        if due is None or due >= self._expires_at or self._loop is None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._expires_at = due
        self._expiry = self._loop.call_later(max(due - self._wallclock(), 0.0) + EXPIRY_STEP_S, self._expire)

    def _expire(self) -> None:
        assert self.registrar is not None, "scheduled only with one"
        self._expires_at = inf
        self.registrar.expire()
        self._schedule_expiry()
