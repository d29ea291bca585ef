"""Runs a command on the native modules built with bounds checks and the address and undefined-behaviour sanitizers.

    python tools/sanitized.py -m fuzz.rtp --count 100000
    python tools/sanitized.py -m pytest -c pyproject.toml tests/unit/media tests/native

The build lives in build/sanitized, beside the release build in the tree, with links to the tests and fuzz targets. The
C harness without an interpreter is `make -C ext/tests`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "sanitized"
LIBRARY = BUILD / "lib"
LINKS = ("fuzz", "tests", "pyproject.toml")
SANITIZERS = "address,undefined"


def build() -> None:
    environment = {**os.environ, "VOIPAT_DEBUG": "1", "VOIPAT_SANITIZE": SANITIZERS}
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(BUILD), "--build-lib", str(LIBRARY)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    for name in LINKS:
        link = LIBRARY / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)


def runtime(name: str) -> str:
    """The sanitizer's library, which must be loaded before the interpreter's own."""
    return subprocess.run(["cc", f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout.strip()


def environment() -> dict[str, str]:
    """What a process needs to run on that build, wherever it is started."""
    return {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        # The interpreter keeps memory until it ends: leaks are looked for in the C harness.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONPATH": str(LIBRARY),
    }


def main() -> int:
    build()
    return subprocess.call([sys.executable, *sys.argv[1:]], cwd=LIBRARY, env={**os.environ, **environment()})


if __name__ == "__main__":
    sys.exit(main())
