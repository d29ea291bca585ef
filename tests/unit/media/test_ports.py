"""Numbers of ports, handles, codecs, and the order of the drop reasons."""

from __future__ import annotations

import pytest
from media_bench import Bench

from media import Engine, EngineClosedError, ManualClock, NoPortsLeftError
from media._engine import DROP_REASONS as NATIVE_REASONS
from media.codecs import PCMA, TELEPHONE_EVENT, maybe_codec
from media.port import PortNumbers
from media.stats import DROP_REASONS


def test_rtp_is_even_and_rtcp_the_odd_number_above(bench: Bench) -> None:
    port = bench.open()
    assert (port.rtp_port % 2, port.rtcp_port - port.rtp_port) == (0, 1)


@pytest.mark.parametrize(("low", "high", "count"), [(20000, 20003, 2), (20001, 20004, 1), (20000, 20002, 1)])
def test_only_whole_pairs_of_the_range_are_used(low: int, high: int, count: int) -> None:
    assert len(PortNumbers(low, high)) == count


def test_exhaustion_is_an_error_before_any_state_is_made(bench: Bench) -> None:
    for _ in range(10):
        bench.open()
    with pytest.raises(NoPortsLeftError):
        bench.open()
    assert (bench.engine.open_ports, bench.engine.free_ports) == (10, 0)


def test_a_number_rests_two_seconds_before_it_is_used_again(bench: Bench) -> None:
    ports = [bench.open() for _ in range(10)]
    bench.engine.close_port(ports[3])
    bench.wait(1.9)
    with pytest.raises(NoPortsLeftError):
        bench.open()
    bench.wait(0.2)
    assert bench.open().rtp_port == ports[3].rtp_port


def test_each_bind_address_has_the_whole_range() -> None:
    with Engine(clock=ManualClock(), port_range=(20000, 20001)) as engine:
        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            assert engine.open_port(address, ssrc=1, sequence=1, timestamp=1).rtp_port == 20000


def test_a_thousand_openings_leave_nothing_behind(bench: Bench) -> None:
    for _ in range(1000):
        bench.engine.close_port(bench.open())
        bench.wait(2.1)
    assert (bench.engine.open_ports, bench.engine.free_ports) == (0, 10)


def test_verbs_after_close_say_so() -> None:
    engine = Engine(clock=ManualClock())
    port = engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1)
    engine.close()
    engine.close()
    for verb in (engine.close_port, engine.stats, engine.echo):
        with pytest.raises(EngineClosedError):
            verb(port)


def test_a_host_name_is_no_media_address(bench: Bench) -> None:
    port = bench.open()
    with pytest.raises(ValueError, match="not an IP address"):
        bench.engine.set_remote(port, ("phone.example", 4000))


def test_a_failed_remote_leaves_no_port_open() -> None:
    with Engine(clock=ManualClock(), port_range=(20000, 20001)) as engine:
        with pytest.raises(ValueError, match="not an IP address"):
            engine.open_port("127.0.0.1", remote=("nowhere", 1), ssrc=1, sequence=1, timestamp=1)
        assert engine.open_ports == 0


def test_the_full_ring_of_events_is_counted(bench: Bench) -> None:
    port = bench.open(("192.0.2.1", 4000))
    for number in range(5000):
        remote = ("192.0.2.1", 4000 + number)
        bench.engine.set_remote(port, remote)
        bench.talk(port, remote)
    assert len(bench.engine.drain()) == 4096
    assert bench.engine.events_lost == 5000 - 4096


def test_python_and_native_name_the_same_reasons() -> None:
    assert len(DROP_REASONS) == NATIVE_REASONS


def test_codecs_are_found_by_name_in_any_case_and_clock_rate() -> None:
    assert maybe_codec("pcma", 8000) is PCMA
    assert maybe_codec("TELEPHONE-EVENT", 8000) is TELEPHONE_EVENT
    assert maybe_codec("opus", 48000, 1) is None and maybe_codec("speex", 8000) is None
