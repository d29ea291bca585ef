"""Python files of the user in the dial plan: new calls take the new function, a call under way keeps its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx import config, programs
from pbx.directory import Directory
from pbx.errors import ConfigError
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice

HELLO = """\
from voipat import Tone

async def main(call):
    await call.play(Tone({hertz}, seconds={seconds}))
"""


def plan(file: Path, function: str = "main") -> str:
    program = f'[[tenant.program]]\nnumber = "750"\nfile = "{file}"\nfunction = "{function}"\n\n'
    return EXAMPLE.replace("[[tenant.menu]]", f"{program}[[tenant.menu]]", 1)


def put(office: PlanOffice, text: str) -> None:
    tenants = config.parse(text, environ={}).tenants
    office.directory.swap(Directory(tenants, default_tenant=DOMAIN, programs=programs.load(tenants)))


def test_a_reload_is_for_new_calls(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "hello.py"
    file.write_text(HELLO.format(hertz=500, seconds=4.0))
    with PlanOffice(plan(file), seed=seed) as office:
        put(office, plan(file))
        caller, other = office.phone(1005), office.phone(1006)
        first = caller.dial("750")
        office.world.run(until=office.world.now + 1.5)
        file.write_text(HELLO.format(hertz=700, seconds=1.0))
        put(office, plan(file))
        second = other.dial("750").hears(700)
        office.world.run(until=office.world.now + 2.0)
        assert first.heard.hears(500, since=office.world.now - 0.5) and not first.is_over
        office.run()
        assert first.was_answered and second.was_answered and first.unmet + second.unmet == []


def test_what_a_program_raises_ends_its_call_alone(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "hello.py"
    file.write_text("async def main(call):\n    call.nothing_of_this_name()\n")
    with PlanOffice(plan(file), seed=seed) as office:
        put(office, plan(file))
        call = office.phone(1005).dial("750")
        office.run()
        assert call.status == 500


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("async def main(call:\n    pass\n", 1, "never closed"),
        ("import voipat\n\nx = 1 / 0\n", 3, "ZeroDivisionError"),
        ("import no_such_module_anywhere\n", 1, "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", 1, "SystemExit"),
        ("def main(call):\n    pass\n", 1, "there is no 'async def main(call)'"),
        ("\n\nasync def main():\n    pass\n", 3, "takes one argument"),
        ("async def other(call):\n    pass\n", 1, "there is no 'async def main(call)'"),
    ],
)
def test_a_program_that_cannot_be_run_is_refused_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    file = tmp_path / "hello.py"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        programs.load(config.parse(plan(file), environ={}).tenants)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line) == (str(file), line) and why in problem.reason


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        programs.load(config.parse(plan(tmp_path / "none.py"), environ={}).tenants)
    assert "cannot be read" in str(refused.value)


def test_two_numbers_may_share_a_file_that_is_run_once(tmp_path: Path) -> None:
    file = tmp_path / "hello.py"
    file.write_text("async def main(call): ...\nasync def other(call): ...\n")
    second = f'[[tenant.program]]\nnumber = "751"\nfile = "{file}"\nfunction = "other"\n\n[[tenant.menu]]'
    loaded = programs.load(config.parse(plan(file).replace("[[tenant.menu]]", second, 1), environ={}).tenants)
    first, other = loaded[DOMAIN, "750"], loaded[DOMAIN, "751"]
    assert first.__globals__ is other.__globals__  # type: ignore[attr-defined]  # functions, both
