"""A server under the phones of `voipat.load`, on the generator's core, with the proof that they were not the limit."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.peers.base import SipContender
from bench.rig import usage
from bench.rig.extensions import CALLEE, EXTENSIONS, users
from bench.rig.processes import free_port
from voipat.load import Counts, Fleet, Generator, Plan, Profile, Proof
from voipat.load.fleet import PORTS_PER_PROCESS, TRUNK

OUTSIDER: Final = "+12025550177"
CALLERS: Final = 200
PATIENCE_S: Final = 8.0
ENDED_S: Final = 12.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a plan came to: the server's CPU over it and the generator's proof beside it."""

    counts: Counts
    cpu_s: float
    proof: usage.Proof

    @property
    def successful(self) -> int:
        return self.counts.ok

    @property
    def failed(self) -> int:
        return self.counts.failed + self.counts.unsent

    @property
    def retransmitted(self) -> int:
        return self.counts.retransmitted

    def cost(self) -> float:
        """Server CPU seconds per unit that succeeded."""
        return self.cpu_s / max(self.successful, 1)

    def percentile(self, part: float) -> float:
        """Milliseconds from when a unit was due until it was answered."""
        return self.counts.setup.percentile_ms(part)


class Phones(Generator):
    """Every extension of the bench's office; who is called answers at once, after a 180."""

    def __init__(self, server: SipContender) -> None:
        port = server.caller_port - TRUNK if server.caller_port else free_port(run=PORTS_PER_PROCESS)
        names = [*users(EXTENSIONS), CALLEE]
        fleet = Fleet(
            domain="office.test",
            server=("127.0.0.1", server.port),
            users=tuple((name, f"pass-{name}") for name in names),
            sip_from=port,
            profiles=(Profile("PCMU"),),
            patience=PATIENCE_S,
        )
        super().__init__(fleet, on=[usage.cores()[1]])
        self._server = server

    def answer(self) -> None:
        """The callee registers."""
        done = self.drive(Plan("register", 20.0, 1, users=(EXTENSIONS, 1), answer_as=0))
        assert done.successful == 1, f"the callee's REGISTER failed: {done.counts.statuses}"

    def register(self, rate: float, count: int) -> Done:
        """401 and 200, each extension in turn."""
        return self.drive(Plan("register", rate, count, users=(0, EXTENSIONS)))

    def ask(self, rate: float, count: int) -> Done:
        """OPTIONS to the server."""
        return self.drive(Plan("options", rate, count, users=(0, CALLERS)))

    def call(self, rate: float, count: int, *, settle: float = 0.0) -> Done:
        """To the callee; from a trunk where the server has one for it."""
        server = self._server
        is_trunk = bool(server.caller_port)
        plan = Plan(
            *("call", rate, count),
            users=(0, 1 if is_trunk else CALLERS),
            targets=(server.dialled or CALLEE,),
            from_trunk=OUTSIDER if is_trunk else "",
        )
        return self.drive(plan, settle=settle)

    def drive(self, plan: Plan, *, settle: float = 0.0) -> Done:
        """All of the plan, and `settle` seconds until the server is at rest again."""
        mark, before, drops = self.mark(), self._server.cpu_seconds(), self._server.kernel_drops()
        counts = self.wait(self.start(plan), timeout=plan.count / plan.rate + ENDED_S)
        proof = self.proof(mark)
        time.sleep(settle)
        lost = self._server.kernel_drops() - drops
        return Done(counts, self._server.cpu_seconds() - before, proof_of([proof], server_drops=lost))


def proof_of(proofs: Iterable[Proof], *, server_drops: int = 0) -> usage.Proof:
    """In the words of the bench: the worst of them. What was not sent counts as if the kernel had lost it."""
    found = list(proofs)
    return usage.Proof(
        max(proof.share for proof in found),
        1.0,
        sum(proof.kernel_drops + proof.unsent for proof in found),
        server_drops,
        max(proof.late_ms for proof in found),
    )
