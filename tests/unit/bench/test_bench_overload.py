"""Which runs of `bench.overload` count: a server that waits for its own threads was not disturbed by anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.overload import Run
from bench.rig.load import Load
from bench.rig.usage import Proof, core_busy_seconds

PUNCTUAL = Proof(share=0.3, punctual=1.0, drops=0)


def run(*, waited_s: float, others_s: float, failed: int = 0, factor: float = 3.0) -> Run:
    """Ten seconds of load, of which the server was at work for eight."""
    done = Load(successful=1600, failed=failed, retransmitted=0, cpu_s=8.0, proof=PUNCTUAL)
    return Run(factor, 600.0, done, 10.0, waited_s, others_s)


@pytest.mark.parametrize(
    ("waited_s", "others_s"),
    [(4.0, 0.5), (0.5, 4.0), (0.0, 0.0)],
    ids=["its threads waited for one another", "others had the core while it slept", "alone"],
)
def test_a_run_counts_when_others_took_nothing_of_what_the_server_wanted(waited_s: float, others_s: float) -> None:
    assert run(waited_s=waited_s, others_s=others_s).faults() == []


def test_a_run_in_which_others_had_the_core_while_the_server_waited_does_not_count() -> None:
    disturbed = run(waited_s=3.0, others_s=2.0)
    assert disturbed.faults() == ["others had the server's core 20% of the time while it waited"]
    assert "INVALID" in disturbed.note()


def test_calls_that_fail_at_the_sustainable_rate_make_a_run_invalid_and_those_above_it_do_not() -> None:
    assert run(waited_s=0.0, others_s=0.0, failed=3, factor=1.0).faults() == ["3 calls failed at the sustainable rate"]
    assert run(waited_s=0.0, others_s=0.0, failed=3).faults() == []


def test_a_core_is_busy_for_whomever_it_works(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 100 20 30 4000 500 6 7 37 0 0\nintr 5\n")
    assert core_busy_seconds(1, stat) == pytest.approx(2.0)
    with pytest.raises(AssertionError, match="no core 2"):
        core_busy_seconds(2, stat)
