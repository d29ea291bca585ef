"""The planner as somebody meets it who has just installed voipat: a wheel in an empty environment, one command."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_S = 900  # a wheel of all native modules, on a machine with other work
# Of an environment itself; what begins with one underscore besides may be a dependency's extension (_cffi_backend).
OWN = ("voipat", "__", "_distutils_hack", "pip", "setuptools")
BUILDS = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]


def ran(*command: object, directory: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*map(str, command)], cwd=directory, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an environment that has the wheel, and its dependencies from where they are already."""
    if not request.config.getoption("--soak"):
        pytest.skip("builds a wheel and measures; with --soak")
    directory = tmp_path_factory.mktemp("fresh")
    ran(sys.executable, *BUILDS, "-w", directory, REPOSITORY, directory=directory)
    made = directory / "venv"
    venv.create(made, with_pip=True)
    wheel = next(directory.glob("voipat-*.whl"))
    ran(made / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", wheel, directory=directory)
    # Nothing is fetched in a test: the packages that the wheel asks for are those of this environment, and only these.
    site = next((made / "lib").glob("python*/site-packages"))
    ours = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for path in ours.iterdir():
        if not path.name.startswith(OWN) and path.suffix != ".pth":
            (site / path.name).symlink_to(path)
    return directory


@pytest.mark.slow
def test_the_command_of_a_fresh_install_says_what_it_can(fresh: Path) -> None:
    told = ran(fresh / "venv" / "bin" / "voipat", "--help", directory=fresh).stdout
    assert "capacity" in told and "serve" in told


@pytest.mark.slow
def test_the_planner_of_a_fresh_install_answers_with_one_command(fresh: Path) -> None:
    program, page = fresh / "venv" / "bin" / "voipat", fresh / "page.html"
    ran(program, "capacity", "--time", "20", "--save", "costs.json", "--html", page, "--users", "50", directory=fresh)
    kept = ran(program, "capacity", "--from", "costs.json", "--json", "--users", "100", directory=fresh)
    answer = json.loads(kept.stdout)
    assert answer["needs"]["cores"] >= 1 and answer["room"]["relay"]["count"] > 0
    assert "How many calls this machine carries" in page.read_text()
