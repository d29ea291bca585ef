"""A scratch daemon under a real load, for some seconds; and a generator that is held back, which gives no figure."""

from __future__ import annotations

import pytest

from pbx.capacity.measure import Measurement
from pbx.capacity.rig import Phones, open_rig
from pbx.capacity.survey import InvalidRunError, survey

pytestmark = pytest.mark.slow

USERS = 40


def nothing(_: str) -> None:
    """Nobody looks."""


def test_registrations_and_calls_cost_what_the_daemon_used() -> None:
    with open_rig() as rig:
        before = rig.usage()
        measurement = Measurement(rig, 0, nothing, users=USERS)
        measurement.prepare()
        counts = rig.generator.wait(measurement.start_calls(5.0, 10), timeout=60)
        spent = rig.usage() - before
        assert (counts.ok, counts.failed) == (10, 0)
        assert spent.signalling > spent.disk > 0
        assert spent.media > 0
        assert measurement.base_kb > 20_000
    assert not rig.directory.exists()


def test_a_daemon_that_grows_shows_what_keep_alives_cost_and_what_phones_and_calls_take_of_memory() -> None:
    with open_rig(phones=Phones(400, 5.0)) as rig:
        grown = Measurement(rig, 0, nothing, users=400)
        grown.grow()
        measurement = Measurement(rig, 0, nothing, users=400)
        measurement.take_over(grown)
    samples = measurement.samples["keepalive"]
    assert samples
    # Three quarters of them are asked within 5 s beside the rest; a part of that says no more than about how many.
    assert 20 < sum(sample.units for sample in samples) / len(samples) < 160
    assert all(sample.busy.signalling > 0 for sample in samples)
    assert 0 < measurement.call_kb < 200 and 0 <= measurement.binding_kb < 100 and 0 <= measurement.tls_kb < 200


def test_a_generator_that_is_held_back_gives_no_figure() -> None:
    with pytest.raises(InvalidRunError, match=r"no figure: the load generator was the limit, not the server\n.* late"):
        survey(20, nothing, share=0.05, users=USERS)
