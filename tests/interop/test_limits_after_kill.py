"""Must show: counters never leak after kill -9. Places are given back, what a day may cost is not (X4, H20)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from tests.interop.test_sipp import call_rows

PLACES = 3
LIMITS = f"[tenant.limits]\nmax_calls = {PLACES}\noutside_calls_per_day = 1\n\n[[tenant.times]]"


def test_after_kill_9_places_are_free_again_and_the_days_allowance_is_not(tmp_path: Path) -> None:
    carrier = free_port()
    text = OFFICE.read_text().replace("127.0.0.1:5090", f"127.0.0.1:{carrier}").replace("[[tenant.times]]", LIMITS, 1)
    config = tmp_path / "office.toml"
    config.write_text(text.replace('name = "carrier"\n', 'name = "carrier"\noptions_s = 0\n'))
    with ExitStack() as stack:
        server = Server(tmp_path / "server", config=config)
        stack.callback(server.close)
        stack.callback(sipp.Sipp(tmp_path / "carrier", "answer", target=server.address, port=carrier).close)
        _dial(tmp_path / "out", server, "call", "92025550123")
        for life in ("first", "second"):
            # Of the life before nothing holds a place.
            assert server.stats()["calls"] == 0
            _dial(tmp_path / f"{life}-out", server, "expect_403", "92025550123")
            full = sipp.Sipp(
                tmp_path / life, "call", target=server.address, port=free_port(), calls=PLACES, rate=50,
                hold_ms=60_000, rows=call_rows("*43"),
            )  # fmt: skip
            stack.callback(full.close)
            wait_until(lambda: server.stats()["calls_answered"] == PLACES, 20, "as many calls as there are places")
            _dial(tmp_path / f"{life}-more", server, "expect_503", "*43")
            server.kill()
            full.close()
            server.start()
        assert server.stats()["calls"] == 0
        interrupted = [row for row in server.rows("cdr") if row["disposition"] == "interrupted"]
        assert len(interrupted) == 2 * PLACES


def _dial(directory: Path, server: Server, scenario: str, number: str) -> None:
    sipp.run(directory, scenario, target=server.address, port=free_port(), calls=1, rows=call_rows(number))
