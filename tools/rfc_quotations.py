"""Whether the sentences that tests and `tests/rfc_sections.toml` quote stand in their RFCs.

    python -m tools.rfc_quotations FOLDER      a folder with rfc3261.txt and the others, as Debian's doc-rfc packages
                                               (non-free, so no part of `make check`) or rfc-editor.org have them

A quotation may leave words out with `…`, its parts must stand in the section that it names, or in a part of it, in
their order. Line breaks, kinds of quotation marks and references in brackets make no difference.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tools.rfc_coverage import SECTIONS, marked_tests

_PAGE_BREAK: Final = re.compile(r"\n*\n[^\n]*\[Page \d+\][ \t]*\n[\n\f]*(?:RFC \d+ [^\n]*\n+)?")
_HEADING: Final = re.compile(r"^(?:Appendix )?(?P<number>[0-9]+(?:\.[0-9]+)*|[A-Z](?:\.[0-9]+)*)\.?\s+\S", re.MULTILINE)


class Quotation(NamedTuple):
    """What is said to stand where, and who says so."""

    number: str
    section: str
    text: str
    where: str


def quotations() -> Iterator[Quotation]:
    """All of the table and of the markers of tests."""
    for number, rfc in tomllib.loads(SECTIONS.read_text(encoding="utf-8"))["rfc"].items():
        for section, entry in rfc.get("section", {}).items():
            yield Quotation(number, section, entry["must"], SECTIONS.name)
    for (number, section), tests in marked_tests().items():
        for test in tests:
            if test.quotation:
                yield Quotation(number, section, test.quotation, test.name)


class Text:
    """One RFC in sections, each with all below it."""

    def __init__(self, text: str) -> None:
        self._text = _PAGE_BREAK.sub("\n", text)
        self._headings = [(match["number"], match.start()) for match in _HEADING.finditer(self._text)]
        self.whole = plain(self._text)

    def section(self, number: str) -> str:
        """Its text; where a table of contents has it too, both."""
        parts = []
        for at, (name, start) in enumerate(self._headings):
            if name == number:
                rest = self._headings[at + 1 :]
                end = next((place for other, place in rest if not other.startswith(f"{number}.")), len(self._text))
                parts.append(self._text[start:end])
        return plain("\n".join(parts))


def plain(text: str) -> str:
    """Without what a quotation may change: white space, quotation marks, references."""
    text = re.sub(r"(?<=\w)-\s*\n\s*(?=\w)", "-", text)
    text = re.sub(r"\[[A-Z]*[0-9.]+[a-z]*\]|\[[0-9]+\]|\[RFC ?[0-9]+\]", " ", text)
    text = re.sub(r"[\"'`“”‘’]", "'", text)
    return re.sub(r"\s+([.,;:)])", r"\1", " ".join(text.split())).casefold()


def is_there(quotation: str, text: str) -> bool:
    """Whether all parts of the quotation stand in a text, one after the other."""
    at = 0
    for part in quotation.split("…"):
        found = text.find(plain(part).strip(" ."), at)
        if found < 0:
            return False
        at = found
    return True


@cache
def _rfc(folder: Path, number: str) -> Text | None:
    path = folder / f"rfc{number}.txt"
    return Text(path.read_text(encoding="utf-8", errors="replace")) if path.exists() else None


def main(folder: Path) -> int:
    """Say what is elsewhere or nowhere."""
    wrong = count = 0
    for quotation in quotations():
        text = _rfc(folder, quotation.number)
        if text is None:
            print(f"RFC {quotation.number} is not in {folder}")
            wrong += 1
            continue
        count += 1
        if not is_there(quotation.text, text.section(quotation.section)):
            wrong += 1
            what = "elsewhere" if is_there(quotation.text, text.whole) else "nowhere"
            print(f"{what}: RFC {quotation.number} §{quotation.section} ({quotation.where}): {quotation.text}")
    print(f"{count} quotations, {wrong} not where they are said to be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
