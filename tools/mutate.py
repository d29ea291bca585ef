"""Mutation testing: each small change of the code under `TARGETS` must make a test fail.

    python -m tools.mutate                     all targets
    python -m tools.mutate --only dialog       targets whose name has "dialog"
    python -m tools.mutate --only dialog --lines 100-140

What whole targets gave is kept in build/mutants.json; the page docs/reference/mutants.md is made of it when it has all.

A mutant is made in memory: a forked child imports the changed source in place of the file, runs the tests that fit
and dies at the first failure. A survivor is either a missing test or listed with its reason in
`tools/equivalent_mutants.toml`. Why a tool of our own: docs/decisions, "Mutants of our own".
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import importlib.abc
import importlib.machinery
import itertools
import json
import os
import resource
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "mutants.md"
KEPT: Final = ROOT / "build" / "mutants.json"
EQUIVALENT: Final = Path(__file__).with_name("equivalent_mutants.toml")
PATIENCE_S: Final = 30  # of CPU time: on a busy machine a slow run is no kill
WALL_S: Final = 600
GOAL: Final = 0.9

_RFC3261: Final = "tests/conformance/rfc3261/test_"
_TRANSACTION_TESTS: Final = (
    "tests/unit/sipcore/transaction",
    *(f"{_RFC3261}17_{part}.py" for part in ("1_1_invite_client", "1_2_noninvite_client")),
    *(f"{_RFC3261}17_{part}.py" for part in ("2_1_invite_server", "2_2_noninvite_server")),
    f"{_RFC3261}9_cancel.py",
    f"{_RFC3261}8_2_uas.py",
    "tests/conformance/rfc4320",
    "tests/conformance/rfc6026",
)
_DIALOG_TESTS: Final = (
    "tests/unit/sipcore/test_dialog.py",
    f"{_RFC3261}12_dialog.py",
    f"{_RFC3261}13_invite.py",
    f"{_RFC3261}14_15_reinvite_bye.py",
    "tests/conformance/rfc3262",
    "tests/conformance/rfc3311",
    "tests/conformance/rfc6665",
)
_OFFER_ANSWER_TESTS: Final = (
    "tests/unit/sipcore/test_offer_answer.py",
    "tests/unit/sipcore/test_offers_beside.py",
    "tests/conformance/rfc3264",
    "tests/conformance/rfc4568",
    "tests/conformance/rfc5763",
)
TARGETS: Final[dict[str, tuple[str, ...]]] = {
    **{
        f"sipcore/transaction/{name}.py": _TRANSACTION_TESTS
        for name in ("__init__", "invite_client", "invite_server", "noninvite_client", "noninvite_server", "table")
    },
    "sipcore/dialog.py": _DIALOG_TESTS,
    "sipcore/offer_answer.py": _OFFER_ANSWER_TESTS,
}


@dataclass(frozen=True)
class Mutant:
    """One change: where, what, and the whole changed source."""

    path: str
    line: int
    text: str
    change: str
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str, str]:
        """What a mutant is known by when lines move."""
        return self.path, self.text, self.change


# The changes. Each function yields (what it does, the node to stand in place) for one node.

Change = tuple[str, ast.AST | None]

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


def _comparison(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _COMPARISONS.get(type(node.ops[0]), ()):
            yield (
                f"{type(node.ops[0]).__name__} → {other.__name__}",
                ast.Compare(node.left, [other()], node.comparators),
            )


def _logic(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BoolOp):
        other: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{type(node.op).__name__} → {type(other).__name__}", ast.BoolOp(other, node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", node.operand
    elif isinstance(node, ast.IfExp):
        yield "branches of the expression changed", ast.IfExp(node.test, node.orelse, node.body)


def _arithmetic(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        other = _OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} → {other.__name__}", ast.BinOp(node.left, other(), node.right)
    elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
        other = _OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__}= → {other.__name__}=", ast.AugAssign(node.target, other(), node.value)


def _constant(node: ast.AST) -> Iterator[Change]:
    if not isinstance(node, ast.Constant) or node.value is None or node.value is Ellipsis:
        return
    if isinstance(node.value, bool):
        yield f"{node.value} → {not node.value}", ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield f"{node.value} → {node.value + 1}", ast.Constant(node.value + 1)
    elif isinstance(node.value, str):
        yield f"{node.value!r} → other text", ast.Constant(node.value + "XX")


def _flow(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "return None", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call dropped", ast.Pass()
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        yield "assignment dropped", ast.Pass()
    elif isinstance(node, ast.AugAssign | ast.Delete | ast.Raise):
        yield f"{type(node).__name__.lower()} dropped", ast.Pass()
    elif isinstance(node, ast.If | ast.While):
        yield "condition always false", _with(node, test=ast.Constant(False))
        if isinstance(node, ast.If):
            yield "condition always true", _with(node, test=ast.Constant(True))
    elif isinstance(node, ast.Continue):
        yield "continue → break", ast.Break()


def _table(node: ast.AST) -> Iterator[Change]:
    """An entry of a table missing; an action of a transition missing; another state."""
    if isinstance(node, ast.Dict) and len(node.keys) > 1:
        for index, key in enumerate(node.keys):
            keys, values = list(node.keys), list(node.values)
            del keys[index], values[index]
            yield f"entry {ast.unparse(key) if key else '**'} dropped", ast.Dict(keys, values)
    elif isinstance(node, ast.Tuple) and node.elts and all(_is_member(each, "Action") for each in node.elts):
        for index, each in enumerate(node.elts):
            yield f"{ast.unparse(each)} dropped", ast.Tuple([*node.elts[:index], *node.elts[index + 1 :]], ast.Load())
    elif isinstance(node, ast.Attribute) and _is_member(node, "State"):
        other = "PROCEEDING" if node.attr == "TERMINATED" else "TERMINATED"
        yield f"State.{node.attr} → {other}", ast.Attribute(node.value, other, ast.Load())


CHANGES: Final[tuple[Callable[[ast.AST], Iterator[Change]], ...]] = (
    _comparison,
    _logic,
    _arithmetic,
    _constant,
    _flow,
    _table,
)


def _with(node: ast.If | ast.While, **fields: ast.AST) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_member(node: ast.AST, enum: str) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum


# What is left alone: texts for people, declarations, checks of invariants.


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None]]:
    """(parent, field, index) of each node that may be changed."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        parent = waiting.pop()
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(node, ast.AST) and not _is_left_alone(parent, field, node):
                    yield parent, field, index
                    waiting.append(node)


def _is_left_alone(parent: ast.AST, field: str, node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(parent, ast.Raise) and isinstance(node, ast.Call):
        return True  # the text of an error
    if isinstance(parent, ast.Module) and isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    if isinstance(parent, ast.ClassDef) and isinstance(node, ast.Assign):
        return True  # __slots__, and the members of an enumeration: any value will do
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(parent, ast.keyword):
        return parent.arg == "name"  # of a machine, for people
    return isinstance(parent, ast.Dict) and field == "keys"


def mutants(path: str) -> Iterator[Mutant]:
    """Every change of one file, in the order of its lines."""
    source = (ROOT / path).read_text()
    lines = source.splitlines()
    tree = ast.parse(source)
    found: list[tuple[int, str, ast.AST, str, int | None, ast.AST | None]] = []
    for parent, field, index in _places(tree):
        node = _get(parent, field, index)
        for change in CHANGES:
            for what, other in change(node):
                line = getattr(node, "lineno", 0)
                found.append((line, what, parent, field, index, other))
    for line, what, parent, field, index, other in sorted(found, key=lambda each: each[:2]):
        before = _get(parent, field, index)
        _set(parent, field, index, other)
        changed = ast.fix_missing_locations(copy.deepcopy(tree))
        _set(parent, field, index, before)
        yield Mutant(path, line, lines[line - 1].strip(), what, changed)


def _get(parent: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(parent, field)
    node: ast.AST = value if index is None else value[index]
    return node


def _set(parent: ast.AST, field: str, index: int | None, node: ast.AST | None) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


# Running one


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the changed source for one module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self._is_package = mutant.path.endswith("__init__.py")

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        file = str(ROOT / self._mutant.path)
        spec = importlib.machinery.ModuleSpec(name, self, origin=file, is_package=self._is_package)
        if self._is_package:
            spec.submodule_search_locations = [str(Path(file).parent)]
        return spec

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, self._mutant.path, "exec"), module.__dict__)


def survives(mutant: Mutant | None, tests: tuple[str, ...], patience: int = PATIENCE_S) -> bool:
    """Whether all tests pass; `None` tries the code as it is. A child that hangs is killed, and the mutant with it."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (patience, patience))
        os._exit(_run(mutant, tests))
    deadline = time.monotonic() + WALL_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run(mutant: Mutant | None, tests: tuple[str, ...]) -> int:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Instead(mutant))
    # One after another: what the first ones notice is not kept waiting for the others to be collected.
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    return next((status for each in tests if (status := int(pytest.main([*options, each])))), 0)


# The report


def equivalents() -> dict[tuple[str, str, str], str]:
    """The survivors that change nothing, with the reason."""
    entries = tomllib.loads(EQUIVALENT.read_text()).get("mutant", []) if EQUIVALENT.exists() else []
    return {(each["path"], each["text"], each["change"]): each["reason"] for each in entries}


@dataclass
class Result:
    """What became of the mutants of one file; `listed` are (where, change, reason), `missed` (where, change)."""

    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    listed: list[list[str]] = dataclasses.field(default_factory=list)
    missed: list[list[str]] = dataclasses.field(default_factory=list)


def keep(results: dict[str, Result]) -> None:
    """Add what whole targets gave to what others gave before; write the page when none is missing."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept |= {path: vars(result) for path, result in results.items()}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(kept, indent=1))
    if kept.keys() >= TARGETS.keys():
        PAGE.write_text(
            page({path: Result(**{**kept[path], "counts": Counter(kept[path]["counts"])}) for path in TARGETS})
        )


def page(results: dict[str, Result]) -> str:
    """The table of the targets, and every survivor."""
    lines = ["<!-- Generated by `make mutate`. -->", "# Mutants", ""]
    lines += ["Each small change of these files, and whether a test of theirs noticed.", ""]
    lines += [
        "| file | mutants | killed | equivalent | survived | killed of all |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(path, result.counts) for path, result in results.items()]
    lines += [_row("all", sum((each.counts for each in results.values()), Counter[str]()))]
    lines += ["", "## Survivors that change nothing", ""]
    lines += ["| where | change | why no test can tell |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(map(_cell, each))} |" for result in results.values() for each in result.listed]
    missed = [f"- {where}: {change}" for result in results.values() for where, change in result.missed]
    lines += ["", "## Survivors that a test should kill", "", *(missed or ["None."])]
    return "\n".join(lines) + "\n"


def _row(path: str, count: Counter[str]) -> str:
    number = max(count.total(), 1)
    share = f"{100 * count['killed'] / number:.1f} %"
    return f"| {path} | {count.total()} | {count['killed']} | {count['equivalent']} | {count['survived']} | {share} |"


def _where(mutant: Mutant) -> str:
    return f"{mutant.path} `{mutant.text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="targets whose path has this")
    parser.add_argument("--lines", default="0-99999", help="mutants of these lines only")
    parser.add_argument("--every", type=int, default=1, help="a sample: each so-manieth mutant")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop after this time; what was not run is said")
    options = parser.parse_args()
    first, last = (int(each) for each in options.lines.split("-"))
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # these tests need none, and each fork would load them
    stop_at = time.monotonic() + 60 * options.minutes
    known = equivalents()
    results: dict[str, Result] = {}
    skipped = 0
    for path, tests in TARGETS.items():
        if options.only not in path:
            continue
        if not survives(None, tests, 120):
            print(f"{path}: its tests fail without any change")
            return 2
        result = results[path] = Result()
        count = result.counts
        for mutant in itertools.islice(mutants(path), 0, None, options.every):
            if not first <= mutant.line <= last:
                continue
            if time.monotonic() > stop_at:
                skipped += 1
            elif not survives(mutant, tests):
                count["killed"] += 1
            elif mutant.key in known:
                count["equivalent"] += 1
                result.listed.append([_where(mutant), mutant.change, known[mutant.key]])
            else:
                count["survived"] += 1
                result.missed.append([_where(mutant), mutant.change])
                print(f"survived {path}:{mutant.line}: {mutant.change}\n    {mutant.text}", flush=True)
        print(_row(path, count), flush=True)
    total = sum((each.counts for each in results.values()), Counter[str]())
    print(_row("all", total) + (f" {skipped} not run: out of time" if skipped else ""))
    if not skipped and options.every == 1 and (first, last) == (0, 99999):
        keep(results)
    return 0 if total["killed"] >= GOAL * total.total() else 1


if __name__ == "__main__":
    sys.exit(main())
