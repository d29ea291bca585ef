"""docs/guides/tls.md: its shell commands are run as they stand, its configuration serves what they made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rig.processes import free_port
from bench.rig.server import Server

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "tls.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def shell(script: str, directory: Path) -> str:
    """Runs it with the `voipat` of this environment; its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.interop
def test_the_commands_of_the_guide_make_a_server_that_openssl_trusts(tmp_path: Path) -> None:
    make, check, look, reload = blocks("sh")
    server, tenant, mutual = blocks("toml")
    port = free_port()
    shell(make, tmp_path)

    def ours(text: str) -> str:
        text = re.sub(r":506([0-9])\b", lambda match: f":{port + int(match[1])}", text)
        return text.replace("/etc/voipat", str(tmp_path))

    for name in ("shop.pem", "shop.key"):
        (tmp_path / name).write_bytes((tmp_path / name.replace("shop", "office")).read_bytes())
        (tmp_path / name).chmod(0o600)
    (tmp_path / "office.toml").write_text(ours(mutual) + ours(tenant))
    assert "does not name shop.test" in shell(check.splitlines()[0], tmp_path)
    (tmp_path / "office.toml").write_text(ours(server))
    assert ": ok" in shell(check.splitlines()[0], tmp_path)
    listen = ",".join(f"{scheme}://127.0.0.1:{port + index}" for scheme, index in (("udp", 0), ("tcp", 0), ("tls", 1)))
    running = Server(tmp_path / "server", config=tmp_path / "office.toml", **{"server.listen": listen})
    try:
        assert "Verify return code: 0 (ok)" in shell(ours(look), tmp_path)
        assert "reloaded" in shell(f"{reload.strip()} --data {running.data}", tmp_path)
    finally:
        running.close()
