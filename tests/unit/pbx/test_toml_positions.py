"""Every key of a TOML document is found on the line where a person sees it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pbx.toml_positions import KeyPath, key_lines

DOCUMENT = '''# a comment with [brackets] and = signs
title = "x"  # another
dotted.key."quoted part" = 1

[server]
listen = [
  "udp://1.1.1.1:5060",  # one ]
  'tcp://[::1]:5060',
]
text = """
[not.a.header]
key = "no" \\""" and more
"""
raw = \'\'\'
a = [ \'\'\'
inline = { a = 1, b = { "c d" = [1, [2, 3]] }, e = "}" }

[[tenant]]
domain = "a.test"
[tenant.extensions]
1001 = "x"
"1002" = "y"

[[tenant]]
domain = "b.test"
[[tenant.extension]]
number = "1"
[[tenant.extension]]
number = "2"
when = 1979-05-27T07:32:00Z
'''


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = {(*path, name) for name, _ in items}
    for name, inner in items:
        found |= paths_of(inner, (*path, name))
    return found


def test_every_key_and_element_has_a_line() -> None:
    assert key_lines(DOCUMENT).keys() == paths_of(tomllib.loads(DOCUMENT))


def test_lines_are_those_of_the_text() -> None:
    lines = key_lines(DOCUMENT)
    texts = DOCUMENT.split("\n")
    assert texts[lines["server", "listen", 1] - 1].strip().startswith("'tcp:")
    assert texts[lines["server", "inline", "b", "c d", 1, 0] - 1].startswith("inline")
    assert texts[lines["tenant", 0, "extensions", "1002"] - 1].startswith('"1002"')
    assert texts[lines["tenant", 1, "extension", 1, "when"] - 1].startswith("when")
    assert lines["tenant", 1] == texts.index('domain = "b.test"')


def test_the_example_is_covered() -> None:
    text = (Path(__file__).parents[3] / "examples" / "office.toml").read_text()
    assert key_lines(text).keys() == paths_of(tomllib.loads(text))
