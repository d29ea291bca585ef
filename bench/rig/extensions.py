"""A configuration with the thousands of extensions that load needs."""

from __future__ import annotations

from pathlib import Path

from bench.rig.server import OFFICE

EXTENSIONS = 5000
MANY = 10_000
FIRST = 10000
CALLEE = str(FIRST + EXTENSIONS)  # who is called has one contact, so it is not among those that load registers


CARRIER = "127.0.0.9"  # calls from there come over a trunk, which is known by its address and not challenged
_TRUNK = f"""
[[tenant.trunk]]
name = "carrier"
host = "{CARRIER}"
addresses = ["{CARRIER}"]
options_s = 0

[[tenant.did]]
number = "{CALLEE}"
target = "{CALLEE}"
"""


def many_extensions(directory: Path, *settings: str, count: int = EXTENSIONS, trunk: bool = False) -> Path:
    """The example's server section with 5,000 extensions and the one that is called; `settings` are the tenant's.

    With `trunk` it can be called from `CARRIER` too.
    """
    head = OFFICE.read_text().split("[[tenant]]", 1)[0]
    lines = [head, "[[tenant]]", 'domain = "office.test"', 'digest = ["MD5"]', *settings, ""]
    for number in range(FIRST, FIRST + count + 1):
        lines += ["[[tenant.extension]]", f'number = "{number}"', f'password = "pass-{number}"', ""]
    if trunk:
        lines.append(_TRUNK)
    path = directory / "bench.toml"
    path.write_text("\n".join(lines))
    return path


def users(count: int) -> list[str]:
    return [str(FIRST + index) for index in range(count)]
