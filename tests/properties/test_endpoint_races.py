"""Two endpoints over a network that loses, repeats and reorders, with users that do everything at any time.

Whatever happens, every request has one end, every dialog ends once, and nothing is left.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from heapq import heappop, heappush

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import (
    AckReceived,
    AckTimedOut,
    CancelReceived,
    DialogEnded,
    DialogId,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
    TransactionId,
)
from sipcore.outputs import Transmit
from tests.endpoints import ALICE, BOB, Side, label

METHODS = ("INVITE", "INFO", "UPDATE", "BYE")


class User:
    """A transaction user that answers late, changes its mind, and hangs up when it likes."""

    def __init__(self, side: Side, generator: random.Random) -> None:
        self.side = side
        self.random = generator
        self.owed: list[RequestReceived] = []
        self.requests: set[TransactionId] = set()
        self.finals: Counter[TransactionId] = Counter()
        self.dialogs: list[DialogId] = []
        self.known: set[DialogId] = set()
        self.ended: Counter[DialogId] = Counter()
        self.hanging_up = False

    def hear(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self.owed.append(event)
            case ResponseReceived(transaction=transaction, response=response, dialog=dialog):
                method = response.cseq.method
                if dialog is not None:
                    self._meet(dialog)
                if response.status >= 200:
                    self.finals[transaction] += 1
                if method == "INVITE" and 200 <= response.status < 300 and dialog is not None:
                    if self.random.random() < 0.9 or self.hanging_up:
                        self.side.ack(dialog)
                    if self.hanging_up or self.random.random() < 0.1:
                        self.side.bye(dialog)
            case RequestFailed(transaction=transaction):
                self.finals[transaction] += 1
            case AckTimedOut(dialog=dialog):
                self.side.bye(dialog)
            case DialogEnded(dialog=dialog):
                self.ended[dialog] += 1
            case CancelReceived(transaction=transaction):
                self.owed = [each for each in self.owed if each.transaction != transaction]
            case AckReceived():
                pass

    def act(self) -> None:
        choice = self.random.random()
        try:
            if self.owed and choice < 0.5:
                self._answer()
            elif choice < 0.6:
                self.requests.add(self.side.send())
            elif choice < 0.8 and self.dialogs:
                dialog = self.random.choice(self.dialogs)
                method = self.random.choice(METHODS)
                transaction = self.side.in_dialog(dialog, method)
                # A BYE held back for an ACK is not sent when the peer hangs up first: DialogEnded says it all.
                if method != "BYE":
                    self.requests.add(transaction)
            elif choice < 0.9 and self.requests:
                self.side.cancel(self.random.choice(sorted(self.requests)))
            elif self.dialogs:
                self.side.bye(self.random.choice(self.dialogs))
        except LocalProtocolError:
            pass

    def finish(self) -> None:
        """Answer all that is owed, and hang up everything."""
        self.hanging_up = True
        while self.owed:
            self._answer(final=True)
        for transaction in sorted(self.requests):
            self.side.cancel(transaction)
        for dialog in self.dialogs:
            view = self.side.endpoint.dialog(dialog)
            if view is None:
                continue
            self.side.ack(dialog)
            with suppress(LocalProtocolError):
                self.side.bye(dialog)

    def _answer(self, *, final: bool = False) -> None:
        event = self.owed[0] if final else self.random.choice(self.owed)
        is_invite = event.request.method == "INVITE"
        status = self.random.choice([200, 200, 486, 488, 603])
        if is_invite and not final and self.random.random() < 0.4:
            status = self.random.choice([100, 180, 183])
        if status >= 200:
            self.owed.remove(event)
            if event.request.method == "BYE":
                status = 200
        outputs = self.side.respond(event.transaction, status)
        if outputs and is_invite and 101 <= status <= 299 and event.dialog is not None:
            self._meet(event.dialog)

    def _meet(self, dialog: DialogId) -> None:
        if dialog not in self.known:
            self.known.add(dialog)
            self.dialogs.append(dialog)


class World:
    def __init__(self, seed: int, *, loss: float, repeat: float, transport: str) -> None:
        self.random = random.Random(seed)
        self.loss, self.repeat = loss, repeat
        self.alice = User(Side(ALICE, BOB, seed=seed, transport=transport), self.random)
        self.bob = User(Side(BOB, ALICE, seed=seed + 1_000_003, transport=transport), self.random)
        self.wire: list[tuple[float, int, User, bytes]] = []
        self.count = 0
        self.now = 0.0
        self.log: list[str] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            moments = [each[0] for each in self.wire[:1]]
            moments += [t for u in self._users() if (t := u.side.endpoint.next_timeout()) is not None]
            if not moments or min(moments) > end:
                self.now = end
                break
            self.step(max(self.now, min(moments)))

    def step(self, now: float) -> None:
        self.now = now
        for user in self._users():
            user.side.now = now
        while self.wire and self.wire[0][0] <= now:
            _, _, receiver, data = heappop(self.wire)
            receiver.side.receive(data)
            self._settle()
        for user in self._users():
            user.side.take(user.side.endpoint.handle_timeout(now))
            self._settle()

    def act(self) -> None:
        for user in self._users():
            user.side.now = self.now
        self.random.choice(self._users()).act()
        self._settle()

    def finish(self) -> None:
        for user in self._users():
            user.side.now = self.now
            user.finish()
            self._settle()

    def _users(self) -> list[User]:
        return [self.alice, self.bob]

    def _settle(self) -> None:
        while self.alice.side.events or self.bob.side.events or self.alice.side.sent or self.bob.side.sent:
            for user, peer in ((self.alice, self.bob), (self.bob, self.alice)):
                sent, user.side.sent = user.side.sent, []
                for each in sent:
                    self._transmit(user, peer, each)
                events, user.side.events = user.side.events, []
                for event in events:
                    self.log.append(f"{self.now:.3f}   {self._name(user)} {event}"[:160])
                    user.hear(event)

    def _name(self, user: User) -> str:
        return "alice" if user is self.alice else "bob"

    def _transmit(self, user: User, peer: User, transmit: Transmit) -> None:
        self.log.append(f"{self.now:.3f} {self._name(user)} → {label(transmit.data)}")
        for _ in range(1 + (self.random.random() < self.repeat)):
            if self.random.random() >= self.loss:
                self.count += 1
                delay = self.random.choice([0.001, 0.01, 0.05, 0.3])
                heappush(self.wire, (self.now + delay, self.count, peer, transmit.data))


def run_world(seed: int, transport: str) -> World:
    generator = random.Random(seed)
    loss = generator.choice([0.0, 0.05, 0.3]) if transport == "UDP" else 0.0
    world = World(seed, loss=loss, repeat=0.1 if transport == "UDP" else 0.0, transport=transport)
    for _ in range(40):
        world.act()
        world.run(generator.choice([0.0, 0.005, 0.02, 0.2, 1.0, 8.0]))
    # Requests that were on the way are owed an answer too.
    for _ in range(6):
        world.finish()
        world.run(40.0)
    return world


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_whatever_two_users_do_every_request_and_dialog_ends_once_and_nothing_is_left(
    first: int, transport: str
) -> None:
    for seed in range(first, first + 10):
        world = run_world(seed, transport)
        story = "\n".join([f"seed {seed} {transport}", *world.log[-80:]])
        for user in (world.alice, world.bob):
            endpoint = user.side.endpoint
            assert (endpoint.transaction_count, endpoint.dialog_count) == (0, 0), story
            assert set(user.ended) == user.known, story
            assert all(count == 1 for count in user.ended.values()), story
            assert {t for t in user.requests if user.finals[t] != 1} == set(), story
