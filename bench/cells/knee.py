"""The gates of quality that a scenario's knee is searched by.

No unit failed and no packet was lost, less than 0.1 % of the messages were repeated, the p99 of a set-up is under
200 ms, MOS at least 4.3 and no phone waited longer than 60 ms for a packet, and the generator was not the limit.
"""

from __future__ import annotations

from bench.cells.trial import Trial

REPEATED, SETUP_MS, MOS, GAP_MS = 0.001, 200.0, 4.3, 60.0


def fault(trial: Trial) -> str:
    """The gate that the trial did not pass, or nothing."""
    if trial.proof.faults():
        return f"INVALID: {', '.join(trial.proof.faults())}"
    if trial.failed:
        return f"{trial.failed} failed or lost"
    if trial.repeated > REPEATED:
        return f"{trial.repeated:.2%} repeated"
    ceilings = {"INVITE to 200, p99": SETUP_MS, "longest gap at a phone": GAP_MS}
    for key, value in trial.beside.items():
        what, _, unit = key.rpartition("/")
        if value > ceilings.get(what, value):
            return f"{what} {value:.0f} {unit}"
        if what == "quality" and value < MOS:
            return f"MOS {value:.2f}"
    return ""
