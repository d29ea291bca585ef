"""The generated table of docs/interop.md: cells, notes, and what counts when one cell was run twice."""

from __future__ import annotations

from tools.interop_table import FEATURES, render


def line(feature: str, result: str, note: str = "", transport: str = "UDP") -> dict[str, str]:
    row = {"peer": "phone", "role": "phone", "version": "1.2", "transport": transport}
    return {**row, "feature": feature, "result": result, "note": note}


def row_of(page: str, transport: str) -> list[str]:
    found = next(each for each in page.splitlines() if each.startswith(f"| phone 1.2 | phone | {transport} |"))
    return [cell.strip() for cell in found.strip("|").split("|")][3:]


def test_a_row_for_each_peer_and_transport_with_a_cell_for_each_feature() -> None:
    page = render(
        [line("call", "pass"), line("hold", "not offered", "has no key"), line("call", "pass", transport="TCP")]
    )
    assert row_of(page, "UDP") == ["", "pass", "– [1]", *[""] * (len(FEATURES) - 3)]
    assert row_of(page, "TCP") == ["", "pass", *[""] * (len(FEATURES) - 2)]
    assert page.endswith("1. has no key\n")


def test_a_failure_of_a_cell_stays_whatever_passed_beside_it() -> None:
    page = render([line("call", "pass"), line("call", "fail", "heard a | nothing"), line("call", "pass")])
    assert row_of(page, "UDP")[1] == "**fail** [1]"
    assert "1. heard a \\| nothing" in page


def test_the_same_note_has_one_number() -> None:
    page = render([line("hold", "not offered", "no key"), line("hold", "not offered", "no key", "TCP")])
    assert row_of(page, "UDP")[2] == row_of(page, "TCP")[2] == "– [1]"
