"""Mutated messages into `Endpoint.receive`: `python -m fuzz.endpoint --count N --seed S`.

A third of the mutants are those of `fuzz.sip_mutations`; the others are made of what a real peer says in this moment,
so that they meet transactions and dialogs of their own. Laws: no verb raises but LocalProtocolError, whatever came
before; all that is sent can be parsed; no message takes long; when the last timer has fired nothing is left.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fuzz.finding import Finding, command
from fuzz.sip_mutations import mutant, mutated
from sipcore.endpoint import Admit, Drop, Endpoint, Refuse, Verdict
from sipcore.entropy import SeededEntropy
from sipcore.errors import LocalProtocolError
from sipcore.events import AckTimedOut, DialogId, MessageDropped, RequestReceived, ResponseReceived, TransactionId
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.outputs import Close, Datagram, Output, Resolve, Transmit
from sipcore.parser import parse_message

# CPU seconds of one `receive`, whatever came; a pause of the machine may break it now and then.
SLOWEST_S: Final = 0.02

TARGET: Final = Address("192.0.2.1", 5060)
PEER: Final = Address("192.0.2.2", 5060)
METHODS: Final = ("INVITE", "INFO", "UPDATE", "OPTIONS", "BYE")
STATUSES: Final = (100, 180, 183, 200, 200, 202, 302, 401, 404, 486, 491, 500, 603)


class User:
    """One endpoint and a user that does anything at any time."""

    def __init__(self, local: Address, remote: Address, generator: random.Random, *, gated: bool) -> None:
        self.random = generator
        self.flow = Flow("UDP", local, remote)
        gate = self._gate if gated else None
        self.endpoint = Endpoint(entropy=SeededEntropy(generator.randrange(2**32)), gate=gate, supported=("timer",))
        self.endpoint.listening("UDP", local)
        self.owed: list[TransactionId] = []
        self.requests: list[TransactionId] = []
        self.dialogs: list[DialogId] = []
        self.met: set[DialogId] = set()
        self.sent: list[bytes] = []
        self.told = 0

    def take(self, outputs: list[Output], now: float) -> None:
        """Note what a verb caused, and react as any user has to."""
        for output in outputs:
            match output:
                case Transmit(data=data):
                    self.sent.append(data)
                case Resolve(query=query):
                    answers = [PEER] if self.random.random() < 0.5 else []
                    self.take(self.endpoint.resolved(query, answers, now), now)
                case RequestReceived(transaction=transaction, dialog=dialog):
                    self.owed.append(transaction)
                    self._meet(dialog)
                case ResponseReceived(response=response, dialog=dialog) if response.status >= 200:
                    self._meet(dialog)
                    if dialog is not None and self.random.random() < 0.9:
                        self.take(self.endpoint.ack(dialog, now), now)
                case AckTimedOut(dialog=dialog):
                    self.take(self.endpoint.bye(dialog, now), now)
                case MessageDropped() | Close():
                    self.told -= 1
            self.told += not isinstance(output, (Transmit, Resolve))

    def act(self, now: float) -> None:
        """Do one thing that a user may do."""
        verb = self.random.choice((self._answer, self._answer, self._ask, self._ask_in_dialog, self._cancel, self._bye))
        self._try(verb, now)

    def end(self, now: float) -> None:
        """Answer and hang up everything, so that nothing may be left."""
        for transaction in self.owed:
            self._try(lambda at, t=transaction: self.endpoint.respond(t, 480, at), now)  # type: ignore[misc]
        for transaction in self.requests:
            self.take(self.endpoint.cancel(transaction, now), now)
        for dialog in self.dialogs:
            self.take(self.endpoint.ack(dialog, now), now)
            self._try(lambda at, d=dialog: self.endpoint.bye(d, at), now)  # type: ignore[misc]
        self.owed.clear()

    def _try(self, verb: Callable[[float], list[Output]], now: float) -> None:
        with suppress(LocalProtocolError):
            self.take(verb(now), now)

    def _gate(self, _request: Request, _flow: Flow, _now: float) -> Verdict:
        choice = self.random.random()
        if choice < 0.05:
            return Refuse(401, headers=(("WWW-Authenticate", 'Digest realm="x", nonce="y"'),))
        return Drop("unwanted") if choice < 0.08 else Admit(choice)

    def _meet(self, dialog: DialogId | None) -> None:
        if dialog is not None and dialog not in self.met:
            self.met.add(dialog)
            self.dialogs.append(dialog)

    def _answer(self, now: float) -> list[Output]:
        if not self.owed:
            return []
        body = b"v=0\r\n" if self.random.random() < 0.3 else b""
        return self.endpoint.respond(self.random.choice(self.owed[-30:]), self.random.choice(STATUSES), now, body=body)

    def _ask(self, now: float) -> list[Output]:
        transaction = self.endpoint.new_transaction()
        self.requests.append(transaction)
        uri = self.random.choice((f"sip:x@{self.flow.remote}", "sip:x@example.com", "sips:x@[2001:db8::1]"))
        flow = self.flow if self.random.random() < 0.8 else None
        return self.endpoint.send(transaction, Request(self.random.choice(METHODS), uri), now, flow=flow)

    def _ask_in_dialog(self, now: float) -> list[Output]:
        if not self.dialogs:
            return []
        transaction = self.endpoint.new_transaction()
        self.requests.append(transaction)
        dialog, method = self.random.choice(self.dialogs[-10:]), self.random.choice(METHODS)
        return self.endpoint.send_in_dialog(dialog, transaction, method, now)

    def _cancel(self, now: float) -> list[Output]:
        return self.endpoint.cancel(self.random.choice(self.requests[-10:]), now) if self.requests else []

    def _bye(self, now: float) -> list[Output]:
        return self.endpoint.bye(self.random.choice(self.dialogs[-10:]), now) if self.dialogs else []


class Campaign:
    """The target under fire, and the peer whose messages are bent."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.target = User(TARGET, PEER, self.random, gated=True)
        self.peer = User(PEER, TARGET, self.random, gated=False)
        self.now = 0.0
        self.tally: Counter[str] = Counter()

    def shoot(self) -> None:
        """Let one mutant in, and some life go on around it."""
        self.now += self.random.choice((0.0, 0.001, 0.02, 0.3))
        if self.random.random() < 0.3:
            self.random.choice((self.target, self.peer)).act(self.now)
        self._carry()
        if self.random.random() < 0.33 or not self.tally["spoken"]:
            self.receive(mutant(self.random))
        self._fire_timers()

    def receive(self, data: bytes) -> None:
        """One mutant, timed and judged by how far it came."""
        endpoint = self.target.endpoint
        malformed, told = endpoint.counters["messages_malformed"], self.target.told
        started = time.thread_time()
        outputs = endpoint.receive(Datagram(data, self.target.flow), self.now)
        if time.thread_time() - started > SLOWEST_S:
            self.tally["slow"] += 1
        self.target.take(outputs, self.now)
        self.tally["mutants"] += 1
        if endpoint.counters["messages_malformed"] > malformed:
            self.tally["answered 4xx" if outputs and isinstance(outputs[0], Transmit) else "dropped"] += 1
        else:
            self._read(outputs)
            self.tally["transaction layer"] += 1
            self.tally["user"] += self.target.told > told

    def _read(self, outputs: list[Output]) -> None:
        # What answers a malformed message copies its To and From as they are, and may be as hard to read.
        for output in outputs:
            if isinstance(output, Transmit):
                parse_message(output.data)

    def end(self) -> None:
        """Hang everything up and let every timer fire."""
        for _ in range(6):
            for user in (self.target, self.peer):
                user.end(self.now)
            self._carry()
            for _ in range(400):
                self.now += 0.1
                self._fire_timers()
                self._carry(mutate=False)
        left = self.target.endpoint.transaction_count, self.target.endpoint.dialog_count
        self.tally["left"] += sum(left)

    def _carry(self, *, mutate: bool = True) -> None:
        for data in self._spoken(self.target):
            self.peer.take(self.peer.endpoint.receive(Datagram(data, self.peer.flow), self.now), self.now)
        for data in self._spoken(self.peer):
            self.tally["spoken"] += 1
            if mutate and self.random.random() < 0.8:
                self.receive(mutated(self.random, data)[:65_535])
            if not mutate or self.random.random() < 0.7:
                outputs = self.target.endpoint.receive(Datagram(data, self.target.flow), self.now)
                self.target.take(outputs, self.now)

    def _spoken(self, user: User) -> list[bytes]:
        sent, user.sent = user.sent, []
        return sent

    def _fire_timers(self) -> None:
        for user in (self.target, self.peer):
            deadline = user.endpoint.next_timeout()
            if deadline is not None and deadline <= self.now:
                user.take(user.endpoint.handle_timeout(self.now), self.now)


def tried(count: int, seed: int, *, campaign_length: int = 5_000) -> Counter[str]:
    """What became of `count` mutants, in campaigns that each end in silence. Raises: Finding."""
    tally: Counter[str] = Counter()
    while tally["mutants"] < count:
        campaign = Campaign(seed)
        wanted = min(campaign_length, count - tally["mutants"])
        try:
            while campaign.tally["mutants"] < wanted:
                campaign.shoot()
            campaign.end()
        except Exception as error:
            raise Finding(f"seed {seed}, after {campaign.tally['mutants']} mutants: {error!r}") from error
        if campaign.tally["left"]:
            raise Finding(f"seed {seed}: {campaign.tally['left']} transactions and dialogs left")
        tally += campaign.tally
        seed += 1
    return tally


def run(count: int, seed: int) -> int:
    """Fire `count` mutants; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    reached = ", ".join(f"{tally[name]} {name}" for name in ("dropped", "answered 4xx", "transaction layer", "user"))
    print(f"{tally['mutants']} mutants: {reached}; {tally['slow']} slow")
    return 1 if tally["transaction layer"] * 3 < tally["mutants"] else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.endpoint", __doc__, run))
