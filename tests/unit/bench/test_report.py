"""The report: what a cell of a speed table says of the figures that fill it, or of their absence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cells.catalogue import Scenario, Target, scenarios
from bench.cells.compare import DRIVERS, Measured, against, figure_for, figures_of
from bench.cells.trial import Trial
from bench.peers.registry import CONTENDERS
from bench.report import Outcome, cell, report
from bench.rig.figures import missing
from bench.rig.usage import Proof

QUIET = Proof(share=0.3, punctual=1.0, drops=0)
LATE = replace(QUIET, late_ms=50.0)
RATIO = Target("media", "relay beside bare C", to="bare-relay", how="ratio", at_most=1.15, goal=1.0)
MEMORY = Target("media", "memory per call", of="memory per call", at_most=12)
RELAY = Scenario(
    "relay",
    "a relayed packet",
    run="relay",
    unit="µs",
    ours="voipat-engine",
    peers=("bare-relay",),
    target=(RATIO, MEMORY),
)


def trials(*costs: float, proof: Proof = QUIET, failed: int = 0) -> list[Trial]:
    return [Trial(cost, failed, 0.0, proof, {"memory per call/kB": 4.0}) for cost in costs]


def outcome(ours: list[Trial], theirs: list[Trial]) -> Outcome:
    mine, floor = Measured("voipat-engine", "voipat 1", ours), Measured("bare-relay", "bare C", theirs)
    figures = [*figures_of(RELAY, mine), *figures_of(RELAY, floor), against(RELAY, mine, floor, "", "ratio")]
    return Outcome("python -m bench.cells relay", figures)


def test_a_ratio_is_the_median_of_the_ratios_of_its_rounds() -> None:
    figure = figure_for(RATIO, RELAY, outcome(trials(6.0, 9.0, 7.0), trials(6.0, 6.0, 7.0)).figures)
    assert figure is not None and figure.value == 1.0 and figure.runs == [1.0, 1.5, 1.0]


@pytest.mark.parametrize(("cost", "verdict"), [(6.0, "| goal met |"), (6.6, "| met |"), (7.0, "| **missed** |")])
def test_a_cell_says_whether_its_target_and_its_goal_are_met(cost: float, verdict: str) -> None:
    row = cell(RELAY, RATIO, outcome(trials(cost), trials(6.0)))
    assert verdict in row and "≤ 1.15 ×" in row and "bare C 6 µs" in row


def test_a_generator_that_was_late_makes_every_figure_of_the_run_invalid() -> None:
    late = outcome(trials(1.0, proof=LATE), trials(6.0))
    assert "**INVALID**: generator sent up to 50 ms late" in cell(RELAY, RATIO, late)
    assert "**INVALID**" in cell(RELAY, MEMORY, late)


def test_losses_at_our_server_stand_beside_the_verdict() -> None:
    assert "goal met, 7 failed or lost" in cell(RELAY, RATIO, outcome(trials(5.0, failed=7), trials(6.0)))


def test_a_target_stands_beside_what_the_peer_took_then_and_takes_now() -> None:
    target = Target("SIP", "REGISTER", at_most=140, peer_then=70, then="at 3,000/s")
    beside = replace(RELAY, target=(target,))
    assert "| ≤ 2 × (70 µs, at 3,000/s) / 1.5 × |" in cell(beside, target, outcome(trials(9.0), trials(6.0)))
    assert "| ≤ 2 × (70, at 3,000/s) / – |" in cell(beside, target, Outcome("", fault="it crashed"))
    with pytest.raises(AssertionError, match="beside the peer already"):
        replace(RATIO, peer_then=1.0)


def test_the_report_says_how_long_each_scenario_took_and_what_the_host_stole() -> None:
    text = report({"relay": RELAY}, {"relay": Outcome("python -m bench.cells relay", seconds=55.4)}, 18.0, 0.061)
    assert "`python -m bench.cells relay`, 55 s" in text and "18 minutes, " in text
    assert "6.1% stolen by the host." in text


def test_a_cell_without_a_figure_says_why() -> None:
    absent = Outcome("", [missing("relay", "rtpengine is missing: run `make bench-peers`", who="rtpengine")])
    assert "**not measured**: rtpengine is missing" in cell(RELAY, RATIO, absent)
    assert "**not measured**: it crashed" in cell(RELAY, RATIO, Outcome("", fault="it crashed"))


def test_the_report_has_every_cell_also_of_what_was_not_run() -> None:
    text = report({"relay": RELAY}, {}, 1.0)
    assert text.count("**not measured**: not run") == 2


def test_what_voipat_does_not_have_is_a_row_that_says_so() -> None:
    absent = Scenario("open", "REGISTER without digest", absent="every phone has a password", table="SIP")
    text = report({"open": absent}, {}, 1.0)
    assert "| REGISTER without digest |  |  | – | **not there**: every phone has a password |  |  | `open` |" in text


def test_a_scenario_is_run_or_a_program_or_absent() -> None:
    with pytest.raises(AssertionError, match="one of run, module and absent"):
        Scenario("both", "both", run="relay", absent="why", table="SIP")
    with pytest.raises(AssertionError, match="an absent one names one of"):
        Scenario("open", "open", absent="why")


def test_the_catalogue_names_drivers_and_servers_that_exist() -> None:
    for scenario in scenarios().values():
        if scenario.absent:
            continue
        assert scenario.module or scenario.run in DRIVERS, scenario.name
        assert scenario.module or {scenario.ours, *scenario.peers} <= set(CONTENDERS), scenario.name
        assert all(target.to in ("", *scenario.peers) for target in scenario.target), scenario.name


def test_a_target_is_either_a_ceiling_or_a_floor() -> None:
    with pytest.raises(AssertionError, match="either at_most or at_least"):
        Target("SIP", "nothing")
    assert Target("SIP", "rate", at_least=400).is_met(500) and not Target("SIP", "rate", at_least=400).is_met(300)
