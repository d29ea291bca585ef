"""A load generator for SIP and RTP: many phones in processes of their own, on a schedule that no server can slow down.

    with Generator(Fleet(domain="office.test", server=("127.0.0.1", 5060), users=(("1001", "secret"),))) as generator:
        plan = generator.start(Plan("register", rate=500, count=5000))
        generator.wait(plan)
        counted = generator.counts(plan)
        faults = generator.proof(since=start).faults()

`faults` is empty when the generator was not what limited the run; otherwise the figures are the generator's, not the
server's. Decision 12 has what it is made of.
"""

from voipat.load.fleet import Fleet, Plan, Profile
from voipat.load.generator import Counts, Generator, GeneratorError, MediaCounts
from voipat.load.histogram import Histogram
from voipat.load.proof import Mark, Proof

__all__ = [
    "Counts",
    "Fleet",
    "Generator",
    "GeneratorError",
    "Histogram",
    "Mark",
    "MediaCounts",
    "Plan",
    "Profile",
    "Proof",
]
