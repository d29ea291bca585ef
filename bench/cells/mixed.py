"""Drivers of loads of many kinds at once: an office, a call centre."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.cells.sip import MESSAGES
from bench.cells.trial import Plan, Trial
from bench.peers.base import Contender
from bench.peers.ours import VoipatRig
from bench.rig.generated import proof_of
from media.quality import quality
from pbx.capacity.measure import Measurement
from pbx.capacity.mixed import CALL_CENTRE, OFFICE, Mixed, as_held

USERS = 500


def mixed(contender: Contender, directory: Path, plan: Plan, *, mix: Mixed) -> Trial:
    """`plan.load` calls at a time by those habits: the share of one core that all of the server takes."""
    assert isinstance(contender, VoipatRig) and contender.rig is not None
    measurement = Measurement(contender.rig, 0, lambda _: None, users=USERS)
    measurement.prepare()
    measurement.first_calls()
    found = measurement.under(as_held(mix.demand, plan.load, measurement.kinds), plan.seconds)
    calls = [counts for name, counts in found.counts.items() if name != "registration"]
    ok, failed = (sum(getattr(counts, key) for counts in found.counts.values()) for key in ("ok", "failed"))
    round_trip_ms = 2 * found.heard.delay.percentile_ms(0.99)
    heard = quality("PCMU", loss=found.heard.loss, jitter_ms=found.heard.jitter_ms, round_trip_ms=round_trip_ms)
    beside = {
        "INVITE to 200, p99/ms": max((counts.setup.percentile_ms(0.99) for counts in calls), default=0.0),
        "quality/MOS": heard.mos,
        "packets lost/%": found.heard.loss * 100,
        "packets more than 60 ms after the one before/%": 100 * found.heard.late / max(found.heard.received, 1),
        "signalling/%": found.busy.signalling * 100,
        "media/%": found.busy.media * 100,
        "memory/MB": contender.pss_kb() / 1024,
    }
    repeated = sum(counts.retransmitted for counts in found.counts.values()) / max(MESSAGES["call"] * (ok + failed), 1)
    return Trial(found.busy.total * 100, failed, repeated, proof_of([found.proof]), beside)


DRIVERS = {"mixed_office": partial(mixed, mix=OFFICE), "mixed_call_centre": partial(mixed, mix=CALL_CENTRE)}
