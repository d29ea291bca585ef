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
    """The lines in which a string that was put together is executed, also by way of text() and of a variable."""
    tree = ast.parse(source)
    names = {name for node in ast.walk(tree) for name in put_together(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in EXECUTING:
            first = node.args[0]
            if is_built(first) or any(isinstance(each, ast.Name) and each.id in names for each in within_text(first)):
                yield node.lineno


def put_together(node: ast.AST) -> Iterator[str]:
    """The variables that a statement, anywhere in the file, gives such a string."""
    match node:
        case ast.Assign(targets=targets, value=value) if is_built(value):
            pass
        case ast.AnnAssign(target=target, value=ast.expr() as value) if is_built(value):
            targets = [target]
        case ast.NamedExpr(target=target, value=value) if is_built(value):
            targets = [target]
        case ast.AugAssign(target=target, op=ast.Add() | ast.Mod()):
            targets = [target]
        case _:
            targets = []
    yield from (each.id for each in targets if isinstance(each, ast.Name))


def is_built(node: ast.expr) -> bool:
    return any(
        isinstance(each, BUILT) or (isinstance(each, ast.Call) and name_of(each.func) in ("format", "join"))
        for each in within_text(node)
    )


def within_text(node: ast.expr) -> Iterator[ast.expr]:
    """The expression, and what is in it when it is SQLAlchemy's text(…)."""
    yield node
    if isinstance(node, ast.NamedExpr):
        yield from within_text(node.value)
    if isinstance(node, ast.Call) and name_of(node.func) == "text" and node.args:
        yield from within_text(node.args[0])


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


@pytest.mark.parametrize("path", sorted(set(PBX.rglob("*.py")) - WITH_CONSTANTS), ids=lambda path: path.stem)
def test_a_statement_is_no_string_that_was_put_together(path: Path) -> None:
    assert list(built(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        *('c.execute(f"SELECT {x}")', 'c.execute("SELECT %s" % x)', 'c.execute("a" + x)', 'c.execute("{}".format(x))'),
        *('c.execute(text(f"SELECT {x}"))', 'c.execute(sqlalchemy.text("SELECT %s" % x))'),
        *('s = f"SELECT {x}"; c.execute(s)', 's: str = "a" + x; c.execute(text(s))', 's = "a"; s += x; c.execute(s)'),
        *('s = text(f"SELECT {x}"); c.execute(s)', 'c.execute(s := f"SELECT {x}")'),
    ],
)
def test_the_gate_sees_what_it_is_for(line: str) -> None:
    assert list(built(line)) == [1]


@pytest.mark.parametrize(
    "line", ['c.execute("SELECT ?", (x,))', 'c.execute(text("SELECT :x"), {"x": x})', 's = "SELECT 1"; c.execute(s)']
)
def test_the_gate_lets_parameters_pass(line: str) -> None:
    assert list(built(line)) == []
