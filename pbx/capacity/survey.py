"""One measurement from start to end, as `Costs`; or the reason why there are none."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pbx.capacity.costs import Costs
from pbx.capacity.kinds import MEDIA_KINDS, USERS
from pbx.capacity.measure import ASKED_S, FULL_S, MANY, NEEDED, Measurement
from pbx.capacity.rig import Phones, RigError, open_rig
from voipat._version import __version__
from voipat.load import GeneratorError, Proof

NOISY: Final = 0.2


class InvalidRunError(RigError):
    """The generator was the limit: there is no figure."""


def survey(
    seconds: float,
    progress: Callable[[str], None],
    *,
    share: float = 1.0,
    directory: Path | None = None,
    users: int = USERS,
) -> Costs:
    """Measures this machine. Raises: InvalidRunError, RigError."""
    begun = time.monotonic()
    progress("a scratch daemon starts")
    asked = round(users * max(MANY * min(seconds / FULL_S, 1.0), 1.0))
    with open_rig(share=share, directory=directory, phones=Phones(asked, ASKED_S)) as rig:
        grown = Measurement(rig, seconds, progress, users=asked)
        with _explained(grown):
            grown.grow()
    progress("a scratch daemon starts")
    with open_rig(share=share, directory=directory) as rig:
        measurement = Measurement(rig, seconds - (time.monotonic() - begun), progress, users=users)
        measurement.take_over(grown)
        with _explained(measurement):
            measurement.run(lambda: _costs(measurement, seconds))
        missing = [name for name in NEEDED if not measurement.samples.get(name)]
        if missing:
            raise InvalidRunError(refusal(measurement, missing))
        return _costs(measurement, seconds)


def check(
    costs: Costs, seconds: float, progress: Callable[[str], None], *, share: float = 1.0, directory: Path | None = None
) -> Costs:
    """The same costs, held against a mixed load that is run now. Raises: InvalidRunError, RigError."""
    progress("a scratch daemon starts")
    with open_rig(share=share, directory=directory) as rig:
        measurement = Measurement(rig, seconds, progress)
        with _explained(measurement):
            measurement.prepare()
            measurement.first_calls()
            measurement.mixed(costs)
    return replace(costs, checks=tuple(measurement.checks))


@contextlib.contextmanager
def _explained(measurement: Measurement) -> Iterator[None]:
    """Raises: InvalidRunError, RigError, for what ended the measurement."""
    try:
        yield
    except (RigError, GeneratorError) as error:
        raise _why(measurement, error) from error


def _why(measurement: Measurement, error: Exception) -> RigError:
    """A generator that was held up fails in many ways; the reader wants the cause."""
    invalid = sum(1 for proof in measurement.proofs if proof.faults())
    if 3 * invalid > len(measurement.proofs):
        return InvalidRunError(refusal(measurement))
    return error if isinstance(error, RigError) else RigError(f"the load generator gave up: {error}")


def refusal(measurement: Measurement, missing: list[str] | None = None) -> str:
    """Why there is no figure."""
    what = f" for {', '.join(missing)}" if missing else ""
    invalid = [proof for proof in measurement.proofs if proof.faults()]
    if not invalid:
        return f"no figure{what}: the daemon refused too many calls. Try again when the machine has no other work"
    faults = worst(invalid).faults()
    return "\n".join(
        [
            f"no figure{what}: the load generator was the limit, not the server",
            *(f"  {fault}" for fault in faults),
            f"  in {len(invalid)} of {len(measurement.proofs)} steps; try again when the machine has no other work",
        ]
    )


def _costs(measurement: Measurement, seconds: float) -> Costs:
    return Costs(
        version=__version__,
        machine=machine(),
        cores=os.cpu_count() or 1,
        memory_kb=memory_kb(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        idle=measurement.idle,
        base_kb=measurement.base_kb,
        binding_kb=measurement.binding_kb,
        call_kb=measurement.call_kb,
        tls_kb=measurement.tls_kb,
        recording_octets_s=measurement.recording_octets_s,
        cdr_octets=measurement.cdr_octets,
        wake=measurement.wake,
        costs=measurement.costs(),
        rounds=measurement.rounds,
        curve=measurement.curve(),
        quality=measurement.qualities(),
        knee=measurement.knee,
        checks=tuple(measurement.checks),
        proof=str(worst(measurement.proofs)),
        waited=measurement.waited,
        notes=tuple(notes(measurement)),
    )


def notes(measurement: Measurement) -> list[str]:
    """What a reader must know to believe the figures."""
    found = []
    if measurement.waited > NOISY:
        found.append(
            f"other programs wanted the daemon's core: it waited for {measurement.waited:.0%} of the time. Figures are "
            "worse than this machine's own; measure again when it is idle"
        )
    if len(measurement.kinds) < len(MEDIA_KINDS):
        found.append("Opus was not measured: there is no libopus on this machine")
    if invalid := sum(1 for proof in measurement.proofs if proof.faults()):
        found.append(f"{invalid} of {len(measurement.proofs)} steps did not count: the generator was their limit")
    return found


def worst(proofs: list[Proof]) -> Proof:
    """The generator at its busiest, of the steps that counted."""
    good = [proof for proof in proofs if not proof.faults()] or proofs or [Proof(0, 0, 0, 0, 0, 0)]
    return Proof(
        seconds=sum(proof.seconds for proof in good),
        share=max(proof.share for proof in good),
        late_ms=max(proof.late_ms for proof in good),
        unsent=sum(proof.unsent for proof in good),
        kernel_drops=sum(proof.kernel_drops for proof in good),
        waited=max(proof.waited for proof in good),
        processes=good[0].processes,
    )


def machine() -> str:
    """Processor, kernel and Python, in a line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def memory_kb() -> int:
    """All there is."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
