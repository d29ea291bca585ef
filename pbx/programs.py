"""Programs of the user in the dial plan: Python files whose functions take calls, read again at each reload.

A program is run when it is read, in a module of its own: what is wrong with it is told with file and line, and then
nothing changes. A call keeps the function that was there when it began.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

from pbx.config_table import Problem
from pbx.errors import ConfigError
from pbx.objects.groups import Program
from pbx.tenants import TenantConfig
from voipat import Call

Function = Callable[[Call], Awaitable[None]]
# (tenant, number) → what takes its calls.
Programs = Mapping[tuple[str, str], Function]

NO_PROGRAMS: Final[Programs] = MappingProxyType({})


def load(tenants: Iterable[TenantConfig]) -> Programs:
    """Every program of every tenant; a file that several name is run once. Blocks, and runs the files.

    Raises: ConfigError, with every fault that was found.
    """
    modules: dict[str, ModuleType | Problem] = {}
    found: dict[tuple[str, str], Function] = {}
    problems: list[Problem] = []
    for tenant in tenants:
        for program in tenant.plan.programs:
            if program.file not in modules:
                modules[program.file] = _run(Path(program.file))
            function = _function(modules[program.file], program)
            if isinstance(function, Problem):
                problems.append(function)
            else:
                found[tenant.domain, program.number] = function
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return MappingProxyType(found)


def _run(path: Path) -> ModuleType | Problem:
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        return Problem(str(path), 1, "file", f"cannot be read: {error.strerror}")
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else 1
        return Problem(str(path), line or 1, "syntax", error.msg if isinstance(error, SyntaxError) else str(error))
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        return Problem(str(path), (lines or [1])[-1] or 1, "program", f"{type(error).__name__}: {error}")
    return module


def _function(module: ModuleType | Problem, program: Program) -> Function | Problem:
    if isinstance(module, Problem):
        return module
    function = getattr(module, program.function, None)
    if not inspect.iscoroutinefunction(function):
        return Problem(program.file, 1, program.function, f"there is no 'async def {program.function}(call)'")
    line = function.__code__.co_firstlineno
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return Problem(program.file, line, program.function, "takes one argument, the call")
    return function
