"""Two real phones through the daemon: registration, audio both ways, hang-up by either side, the CDR."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency, longest_gap_ms, toned_seconds

pytestmark = pytest.mark.interop

TALK_S, SOAK_TALK_S = 6.0, 20.0


def phone(directory: Path, server: Server, user: str, frequency: float) -> Baresip:
    return Baresip(
        directory / user,
        user=user,
        password=f"pass-{user}",
        server=server.address,
        port=free_port(run=5),
        frequency=frequency,
    )


@pytest.fixture
def phones(tmp_path: Path, server: Server) -> Iterator[tuple[Baresip, Baresip]]:
    with ExitStack() as stack:
        alice = stack.enter_context(closing(phone(tmp_path, server, "1001", 440.0)))
        bob = stack.enter_context(closing(phone(tmp_path, server, "1006", 880.0)))
        alice.wait_registered()
        bob.wait_registered()
        yield alice, bob


def call(alice: Baresip, bob: Baresip, seconds: float) -> None:
    alice.command("dial", "sip:1006@office.test")
    bob.wait_for("CALL_INCOMING")
    bob.command("accept")
    alice.wait_for("CALL_ESTABLISHED")
    bob.wait_for("CALL_ESTABLISHED")
    time.sleep(seconds)


def only_cdr(server: Server) -> dict[str, object]:
    rows = wait_until(
        lambda: [row for row in server.rows("cdr") if row["ended"]],
        5,
        "the CDR is complete",
    )
    assert len(rows) == 1
    return rows[0]


@pytest.mark.slow
def test_each_phone_hears_the_others_tone_without_gaps(
    server: Server, phones: tuple[Baresip, Baresip], soak: bool
) -> None:
    alice, bob = phones
    talk_s = SOAK_TALK_S if soak else TALK_S
    registered = {row["aor"] for row in server.rows("registrations")}
    assert registered == {"sip:1001@office.test", "sip:1006@office.test"}

    call(alice, bob, talk_s)
    alice.command("hangup")
    bob.wait_for("CALL_CLOSED")
    alice.close()
    bob.close()

    for listener, frequency in ((alice, 880.0), (bob, 440.0)):
        heard = listener.heard()
        assert toned_seconds(heard) >= talk_s - 1.5
        assert dominant_frequency(heard[8000 : int(8000 * (talk_s - 2))]) == pytest.approx(frequency, abs=2)
        assert longest_gap_ms(heard) <= 60

    row = only_cdr(server)
    assert row["disposition"] == "answered"
    assert (row["caller"], row["callee"]) == ("1001", "1006")
    assert row["hangup_by"] == "caller"
    assert row["billable_s"] == pytest.approx(talk_s, abs=1)
    for leg in ("a_leg", "b_leg"):
        assert row[leg]["codec"] == "PCMU"  # type: ignore[index]
        assert row[leg]["packets"] == pytest.approx(talk_s * 50, abs=60)  # type: ignore[index]


def test_the_callee_hangs_up_and_the_cdr_says_so(server: Server, phones: tuple[Baresip, Baresip]) -> None:
    alice, bob = phones
    call(alice, bob, 2.0)
    bob.command("hangup")
    alice.wait_for("CALL_CLOSED")
    row = only_cdr(server)
    assert row["disposition"] == "answered"
    assert row["hangup_by"] == "callee"
    assert row["billable_s"] == pytest.approx(2, abs=1)
    assert server.stats()["calls"] == 0


def test_echo_code_gives_the_caller_its_own_tone(server: Server, phones: tuple[Baresip, Baresip]) -> None:
    alice, _ = phones
    alice.command("dial", "sip:*43@office.test")
    alice.wait_for("CALL_ESTABLISHED")
    alice.wait_heard(2.5)
    alice.command("hangup")
    alice.wait_for("CALL_CLOSED")
    alice.close()
    heard = alice.heard()
    assert toned_seconds(heard) >= 2
    assert dominant_frequency(heard[4000:20000]) == pytest.approx(440, abs=2)


def test_callee_rejects_and_the_caller_sees_busy(server: Server, phones: tuple[Baresip, Baresip]) -> None:
    alice, bob = phones
    alice.command("dial", "sip:1006@office.test")
    bob.wait_for("CALL_INCOMING")
    bob.command("hangup")
    closed = alice.wait_for("CALL_CLOSED")
    assert "486" in str(closed.get("param", "")) or "Busy" in str(closed.get("param", ""))
    assert only_cdr(server)["disposition"] == "busy"
