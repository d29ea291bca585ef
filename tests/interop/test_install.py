"""`pip install .` gives something that works with the checkout out of sight."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

PROGRAM = """
import voipat, sipcore._siptext, media._engine, pbx.cli
for module in (voipat, sipcore._siptext, media._engine, pbx.cli):
    assert module.__file__.startswith({target!r}), module.__file__
print(voipat.__version__)
"""


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, REPOSITORY],
        check=True,
        cwd=tmp_path,
    )
    wheel = next(tmp_path.glob("voipat-*.whl"))
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(target)
    for package in ("voipat", "sipcore", "media", "pbx"):
        assert f"{package}/py.typed" in names
    assert not [name for name in names if name.endswith((".c", ".pyx", ".pxd", ".h"))]
    assert not [name for name in names if name.startswith(("tests/", "bench/", "fuzz/"))]
    scripts = [name for name in names if name.endswith("entry_points.txt")]
    assert "voipat = pbx.__main__:main" in (target / scripts[0]).read_text()
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(target=str(target))],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in wheel.name
