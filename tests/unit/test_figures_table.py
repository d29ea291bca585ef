"""README's figures are those of bench/RESULTS.md, and what that has no figure for is shown as missing."""

from __future__ import annotations

import pytest

from tools.figures_table import ROWS, render

RESULTS = """\
# Measured figures

AMD EPYC, 2 cores, Linux 6.18.44, Python 3.11.2, commit abc1234. 16 minutes, 2026-11-27.

| work | target | goal | measured | verdict | in the same run | beside the peer | scenario |
| --- | --- | --- | --- | --- | --- | --- | --- |
| digest REGISTER | ≤ 140 | ≤ 57 | 267 µs CPU | **missed** | voipat 267 µs | ≤ 2.23 × (62.8) / 3.36 × | `register` |
| memory per binding | ≤ 2 | ≤ 1 | 1.84 kB | met |  |  | `register` |
| REGISTER without digest |  |  | – | **not there**: a password | | | `register-open` |

## register: digest REGISTER, 5,000 AORs

| what | value | runs | note |
| --- | --- | --- | --- |
| voipat 0.1.0 abc1234: digest REGISTER, 5,000 AORs | 267 µs CPU | 283, 267 | failed or lost 0 |
| voipat 0.1.0 abc1234: memory per binding | 1.84 kB | 1.84 |  |
| kamailio 5.6.3: digest REGISTER, 5,000 AORs | 78.9 µs CPU | 84.4, 78.9 |  |
| voipat 0.1.0 abc1234 / kamailio 5.6.3: digest REGISTER, 5,000 AORs | 3.36 × | 3.36 | |
"""


def test_a_row_has_the_figures_of_our_server_and_of_its_peer() -> None:
    assert "| digest REGISTER (401 + 200), 5,000 AORs, 3,000/s | 267 µs | Kamailio 78.9 µs |" in render(RESULTS)


def test_what_was_not_measured_is_no_number() -> None:
    assert "| IVR call: answer, 3 s of prompt, one digit | – | Asterisk – |" in render(RESULTS)
    assert "| 1.84 kB / – | Kamailio – / Asterisk – |" in render(RESULTS)


def test_targets_that_are_missed_are_named() -> None:
    text = render(RESULTS)
    assert "**Targets**: 1 of 2 are met." in text and "- digest REGISTER: 267 µs CPU, target ≤ 140; " in text
    assert "; beside the peer, then allowed / now: ≤ 2.23 × (62.8) / 3.36 ×" in text


def test_figures_of_an_unknown_machine_are_none() -> None:
    with pytest.raises(ValueError, match="does not say on which machine"):
        render("# Measured figures\n")


def test_every_row_has_as_many_places_as_figures() -> None:
    for row in ROWS:
        assert row.ours.count("{}") == len(row.figures) and row.beside.count("{}") == len(row.others), row.work
