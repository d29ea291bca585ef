"""RTP that a third party sprays at the whole port range, in a network namespace that the test makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.injection_scene import PACKETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scene", ["before", "during", "rebind"])
def test_who_sprays_hears_nothing_and_is_not_heard_while_a_phone_behind_nat_is(scene: str) -> None:
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-m", "tests.faults.injection_scene", scene]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["stranger"], found["foreign"]) == (0, 0), found
    assert found["sprayed"] >= 1000, found
    # Its sixth packet leaves 100 ms after the first; its SDP names an address that leads nowhere.
    assert 0 <= found["first"] <= 5, found
    assert found["heard"] >= 0.98 * (PACKETS - 5), found
