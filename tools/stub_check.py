"""Holds each native module's .pyi against the module at run time: the same public names, the same parameters."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    *("sipcore._digest", "sipcore._guard", "sipcore._sdp", "sipcore._sipfields", "sipcore._siptext"),
    *("sipcore._timers", "sipcore._values", "sipcore.aio._datagrams", "media._dsp", "media._engine"),
    *("pbx._heap", "voipat._aors", "voipat.load._load"),
)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def runtime_parameters(value: object) -> list[str] | None:
    """Names from the signature that Cython embeds in the docstring; None when it embeds none."""
    first = (inspect.getdoc(value) or "").split("\n", 1)[0]
    match = re.match(r"^[\w.]+\((.*?)\)(?: ->.*)?$", first)
    if match is None:
        return None
    plain = re.sub(r"\[[^\]]*\]", "", match[1])  # `const uint8_t[::1] packet`
    names = [re.split(r"[:=]", part.strip())[0].split()[-1:] for part in split_arguments(plain)]
    flat = [name[0] for name in names if name]
    return [name for name in flat if name not in ("self", "cls", "*", "/")]


def split_arguments(text: str) -> list[str]:
    """Splits at commas outside brackets and quotes."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [part for part in [*parts, text[start:]] if part.strip()]


def public(names: object) -> set[str]:
    return {name for name in names if not name.startswith("_")}  # type: ignore[attr-defined]  # an iterable of str


def check_function(where: str, node: ast.FunctionDef, value: object) -> list[str]:
    actual = runtime_parameters(value)
    declared = parameters(node)
    if actual is None or actual == declared:
        return []
    return [f"{where}: stub has ({', '.join(declared)}), module has ({', '.join(actual)})"]


def check_class(where: str, node: ast.ClassDef, value: type) -> list[str]:
    faults = []
    declared: set[str] = set()
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            declared.add(item.name)
            if not item.name.startswith("_") and not item.decorator_list:
                faults += check_function(f"{where}.{item.name}", item, getattr(value, item.name, None))
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            declared.add(item.target.id)
    faults += [f"{where}.{name}: in the stub only" for name in sorted(declared) if not hasattr(value, name)]
    faults += [f"{where}.{name}: not in the stub" for name in sorted(public(vars(value)) - declared)]
    return faults


def check_module(name: str, module: ModuleType) -> list[str]:
    stub = ROOT / (name.replace(".", "/") + ".pyi")
    tree = ast.parse(stub.read_text())
    declared: set[str] = set()
    faults = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            declared.add(node.name)
            value = getattr(module, node.name, None)
            if value is None:
                faults.append(f"{name}.{node.name}: in the stub only")
            elif isinstance(node, ast.ClassDef) and isinstance(value, type):
                faults += check_class(f"{name}.{node.name}", node, value)
            elif isinstance(node, ast.FunctionDef):
                faults += check_function(f"{name}.{node.name}", node, value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared.add(node.target.id)
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
    }
    return faults + [f"{name}.{key}: not in the stub" for key in sorted(own - declared)]


def main() -> int:
    sys.path.insert(0, str(ROOT))
    faults = [fault for name in MODULES for fault in check_module(name, importlib.import_module(name))]
    print("\n".join(faults) or f"stubs agree with {len(MODULES)} native modules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
