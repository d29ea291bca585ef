"""H17: no statement is put together of strings, so that no text of a peer can become a part of one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PBX = Path(__file__).parents[3] / "pbx"
EXECUTING = {"execute", "executemany", "executescript", "exec_driver_sql"}
# ALTER TABLE and PRAGMA take no parameters: the names are constants of the file.
WITH_CONSTANTS = {PBX / "store" / "migrations.py", PBX / "capacity" / "rig.py"}
BUILT = (ast.JoinedStr, ast.BinOp)


def built(source: str) -> Iterator[int]:
    """The lines in which a string that was put together is executed."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0]
        is_format = isinstance(first, ast.Call) and getattr(first.func, "attr", "") in ("format", "join")
        if name in EXECUTING and (isinstance(first, BUILT) or is_format):
            yield node.lineno


@pytest.mark.parametrize("path", sorted(set(PBX.rglob("*.py")) - WITH_CONSTANTS), ids=lambda path: path.stem)
def test_a_statement_is_no_string_that_was_put_together(path: Path) -> None:
    assert list(built(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    ['c.execute(f"SELECT {x}")', 'c.execute("SELECT %s" % x)', 'c.execute("a" + x)', 'c.execute("{}".format(x))'],
)
def test_the_gate_sees_what_it_is_for(line: str) -> None:
    assert list(built(line)) == [1]
