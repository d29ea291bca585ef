"""Whatever a configuration file holds, it is read or refused with file and line; nothing else happens."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pbx import config
from pbx.config_table import Problem
from pbx.errors import ConfigError
from pbx.toml_positions import key_lines
from tests.unit.pbx.test_toml_positions import paths_of

OFFICE = (Path(__file__).parents[2] / "examples" / "office.toml").read_text()
PIECES = ['"', "'", "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "#", "1", "true", '"""', "\\", "\udcff", "é"]
NAMES = (
    "server tenant listen media data guard ban trusted log level domain digest features echo extensions extension "
    "number password ha1 MD5 name drain_s x"
)
KEYS = st.sampled_from(NAMES.split())
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=24,
)


def read(text: str, overrides: tuple[str, ...] = ()) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        config.parse(text, overrides, file="x.toml", environ={"HOME": "/"})
    except ConfigError as error:
        problems = error.problems
        if not problems:
            raise
    for problem in problems:
        assert 1 <= problem.line <= max(text.count("\n") + 1, len(overrides))
        assert str(problem).isprintable()


@given(st.integers(0, len(OFFICE)), st.integers(0, 12), st.sampled_from(PIECES))
@settings(max_examples=300, deadline=None)
def test_a_mutated_example_is_read_or_refused(at: int, length: int, piece: str) -> None:
    read(OFFICE[:at] + piece + OFFICE[at + length :])


@given(st.lists(st.integers(0, OFFICE.count("\n")), min_size=2, max_size=2))
@settings(max_examples=150, deadline=None)
def test_an_example_with_a_line_moved_is_read_or_refused(places: list[int]) -> None:
    lines = OFFICE.split("\n")
    lines.insert(places[1], lines.pop(places[0]))
    read("\n".join(lines))


def toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in value) + '"'
    return str(value)


@given(st.text(max_size=6), st.text(max_size=6))
@settings(max_examples=200, deadline=None)
def test_names_of_every_kind_are_read_or_refused(name: str, domain: str) -> None:
    read(f"[[tenant]]\ndomain = {toml(domain)}\n{toml(name)} = 1\n[tenant.extensions]\n{toml(name)} = 'x'\n")


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=4))
@settings(max_examples=300, deadline=None)
def test_values_of_every_type_are_read_or_refused(server: dict[str, object], tenant: dict[str, object]) -> None:
    read(f"server = {toml(server)}\ntenant = [{toml(tenant)}]\n")


@given(st.lists(KEYS, min_size=1, max_size=5), st.text(max_size=10))
@settings(max_examples=300, deadline=None)
def test_overrides_of_every_key_are_read_or_refused(names: list[str], value: str) -> None:
    read(OFFICE, (".".join(names) + "=" + value, "tenant.office.test." + ".".join(names) + "=" + value))


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@settings(max_examples=200, deadline=None)
def test_every_key_of_a_document_has_a_line(document: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    assert key_lines(text).keys() == paths_of(tomllib.loads(text))
