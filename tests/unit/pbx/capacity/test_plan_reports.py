"""The answer for people and for programs, and the file that is kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pbx.capacity import html, report
from pbx.capacity.command import verdict
from pbx.capacity.costs import Check, CostsError, load, save
from pbx.capacity.planner import Demand, needs
from pbx.cli import main
from pbx.cli_parser import build_parser
from tests.unit.pbx.capacity.samples import costs

DEMAND = Demand(recorded=0.3, opus=0.5, queued=0.1)


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    save(costs(), tmp_path / "costs.json")
    assert load(tmp_path / "costs.json") == costs()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON; give a file that `voipat capacity --save` wrote"),
        ('{"schema": 99}', "has no schema 3; measure again"),
        ('{"schema": 3}', "is incomplete: 'costs'"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "costs.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CostsError, match=re.escape(told)):
        load(path)


def test_the_terminal_says_what_is_needed_and_what_is_full() -> None:
    text = "\n".join(report.lines(costs(), DEMAND, needs(DEMAND, costs()), report.rooms(costs(), DEMAND)))
    assert re.search(r"calls at one time +48 +36\.0 on average", text)
    assert re.search(r"processor cores +1 ", text)
    assert re.search(r"agents +\d+ +80% of the queued calls wait up to 20 s \(Erlang C\)", text)
    assert re.search(r"G\.711 calls at one time +699 +\(636 – 777\) +media: its thread is 70% busy", text)
    assert text.startswith("300 users like these make up to 48 calls at one time, which take ")
    assert "One daemon on this machine serves about " in text.splitlines()[0]
    assert "the mixed office was foretold to take 55.0% of a core and took 50.0% (+10%)" in text
    assert "200 passed every gate; 230 did not: set-up took 250 ms (p99)" in text
    assert re.search(r"TLS handshake|a title +1 ms +± 10% \(900 µs – 1\.1 ms\)", text)
    assert "Note: a note." in text


def test_the_page_has_plots_with_titled_axes_and_fetches_nothing() -> None:
    page = html.page(costs(), DEMAND, needs(DEMAND, costs()), report.rooms(costs(), DEMAND))
    assert not re.search(r"(src|href)=|@import|url\(", page)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 5
    for plot in plots:
        ElementTree.fromstring(plot)
    for axis in ("calls set up a second", "milliseconds (log)", "% of one core", "MB resident", "ms of CPU a second"):
        assert axis in page


def test_a_kept_measurement_answers_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, page = tmp_path / "costs.json", tmp_path / "page.html"
    save(costs(), kept)
    wanted = ["--users", "1000", "--busy-hour", "20%", "--hold", "2m", "--recorded", "30%", "--opus", "50%"]
    assert main(["capacity", "--from", str(kept), "--json", "--html", str(page), *wanted]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 3
    assert found["demand"]["users"] == 1000
    assert found["needs"]["erlangs"] == pytest.approx(200)
    assert found["room"]["relay"]["count"] == 699
    assert page.read_text().startswith("<!doctype html>")


def test_the_commands_of_the_guide_are_understood_and_those_that_measure_nothing_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "guides" / "capacity.md").read_text()
    commands = re.findall(r"^(voipat capacity.*)$", page, re.MULTILINE)
    assert len(commands) == 5
    monkeypatch.chdir(tmp_path)
    save(costs(), tmp_path / "costs.json")
    for command in commands:
        arguments = command.split()[1:]
        assert build_parser().parse_args(arguments).name == "capacity"
        if "--from" in arguments and "--verify" not in arguments:
            assert main(arguments) == 0


@pytest.mark.parametrize(
    ("checks", "status", "told"),
    [
        ((Check("mixed office", 0.5, 0.5, ""), Check("mixed call centre", 0.56, 0.5, "")), 0, ""),
        (
            (Check("mixed office", 0.5, 0.5, ""), Check("mixed call centre", 0.6, 0.5, "")),
            1,
            "off by +20% for the mixed",
        ),
        ((Check("mixed office", 0.5, 0.5, ""),), 1, "a mixed load was not measured"),
    ],
)
def test_costs_that_do_not_foretell_a_mixed_load_fail_the_check(
    checks: tuple[Check, ...], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(replace(costs(), checks=checks)) == status
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--busy-hour", "12"], "'12' is no share: give 12% or 0.12, from 0% to 100%"),
        (["--opus", "150%"], "'150%' is no share"),
        (["--hold", "soon"], "'soon' is no time: give 180, 180s, 3m or 1h, from 1 s to 24 h"),
        (["--users", "0"], "'0' is not allowed: give a number of people from 1 to 1e+06"),
        (["--time", "3"], "'3' is not allowed: give seconds from 20 to 3600"),
        (["--service", "80%"], "'80%' is no service level: give 80%/20s"),
        (["--service", "100%/20s"], "less than 100% of the calls"),
        (["--directory", "/nowhere"], "'/nowhere' is no directory"),
    ],
)
def test_a_wrong_argument_is_told_with_what_is_allowed(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["capacity", *arguments])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
