"""The flight recorder: what it keeps, what it never keeps, and that nothing makes it big."""

from __future__ import annotations

import tracemalloc

import pytest

from sipcore.flow import Address, Flow
from voipat import App, events, reasons
from voipat.recorder import ENTRY_COST, Fate, Recorder, RecorderLimits, Trace
from voipat.trace import ladder

PHONE = Flow("UDP", Address("127.0.0.1", 5060), Address("192.0.2.1", 5062))


def message(first: str, call_id: str, *, header: str = "Call-ID: ", pad: int = 0) -> bytes:
    return f"{first}\r\nVia: SIP/2.0/UDP x\r\n{header}{call_id}\r\nCSeq: 1 INVITE\r\n\r\n{'.' * pad}".encode()


def invite(call_id: str, **more: object) -> bytes:
    return message("INVITE sip:1002@office.test SIP/2.0", call_id, **more)  # type: ignore[arg-type]  # by name


class Clock:
    """A recorder on a clock of its own, fed as App and driver feed it."""

    def __init__(self, *, tenants: frozenset[str] = frozenset(), **limits: float) -> None:
        self.now = 0.0
        self.recorder = Recorder(RecorderLimits(**limits))  # type: ignore[arg-type]  # by name
        self.recorder.start(lambda: self.now, lambda: 1000.0 + self.now, lambda data, flow: tenants)

    def hears(self, data: bytes, flow: Flow = PHONE) -> None:
        self.recorder.observe(data, flow, False, self.now)

    def says(self, data: bytes, flow: Flow = PHONE) -> None:
        self.recorder.observe(data, flow, True, self.now)

    def starts(self, call: str, call_id: str, *, linked: str | None = None, tenant: str = "office.test") -> None:
        leg: events.LegName = "a" if linked is None else "b"
        self.recorder.on_event(
            events.CallStarted(call, linked or call, tenant, leg, "inbound", "1001", "1002", call_id, self.now)
        )

    def ends(
        self, call: str, *, disposition: str = "answered", reason: reasons.Reason = reasons.NORMAL_CLEARING
    ) -> None:
        cause = events.Cause(reason.status, reason.q850, reason.id, reason.text)
        self.recorder.on_event(
            events.CallEnded(
                *(call, call, "office.test", "a", "inbound", "1001", "1002", "x"),
                *(0.0, None, self.now, 1.0, 1.0, disposition, "caller", cause, events.MediaFigures(), 1),
            )
        )

    def call(self, call: str, **more: object) -> None:
        self.hears(invite(f"{call}@phone"))
        self.starts(call, f"{call}@phone")
        self.ends(call, **more)  # type: ignore[arg-type]  # by name

    def find(self, name: str) -> Trace:
        found = self.recorder.find(name)
        assert found is not None, name
        return found


def test_the_messages_of_both_legs_and_the_decisions_stand_in_order() -> None:
    clock = Clock()
    clock.hears(invite("a@phone"))
    clock.says(message("SIP/2.0 401 Unauthorized", "a@phone"))
    clock.hears(invite("a@phone"))
    clock.starts("c1", "a@phone")
    clock.recorder.note("c1", "routed to extension %s", "1002")
    clock.starts("c2", "b@voipat", linked="c1")
    clock.says(invite("b@voipat"))
    for name in ("c1", "c2", "a@phone", "b@voipat"):
        assert clock.find(name).id == "c1"
    assert [line for _, line in ladder(clock.find("c1"), uris=False)] == [
        "192.0.2.1:5062 → voipat  INVITE",
        "voipat → 192.0.2.1:5062  401 INVITE",
        "192.0.2.1:5062 → voipat  INVITE",
        "· call c1: 1001 calls 1002 of office.test",
        "· routed to extension 1002",
        "· attempt c2: 1001 calls 1002 of office.test",
        "voipat → 192.0.2.1:5062  INVITE",
    ]


def test_an_app_records_into_the_recorder_that_it_is_given() -> None:
    recorder = Recorder()
    assert App(recorder=recorder).recorder is recorder


def test_the_very_bytes_are_kept_and_no_copy() -> None:
    clock = Clock()
    data = invite("a@phone")
    clock.hears(data)
    (entry,) = clock.find("a@phone")
    assert entry.what is data and entry.flow is PHONE


@pytest.mark.parametrize("header", ["Call-ID: ", "Call-ID:", "i: ", "I:", "call-id : ", "CALL-ID:\t", "Call-ID:   "])
def test_a_call_id_is_found_under_every_spelling_of_its_name(header: str) -> None:
    clock = Clock()
    clock.hears(invite("a@phone", header=header))
    assert len(clock.find("a@phone")) == 1


def test_what_belongs_to_no_call_is_not_kept() -> None:
    clock = Clock()
    clock.hears(message("REGISTER sip:office.test SIP/2.0", "r@phone"))
    clock.says(message("SIP/2.0 200 OK", "r@phone"))
    clock.hears(message("OPTIONS sip:office.test SIP/2.0", "o@phone"))
    clock.hears(message("BYE sip:office.test SIP/2.0", "b@phone"))
    clock.hears(b"INVITE sip:x SIP/2.0\r\n\r\n")
    clock.hears(b"\x00\xff" * 700)
    assert len(clock.recorder) == 0 and clock.recorder.size == 0


def test_a_dropped_message_says_so_in_its_own_trace_only() -> None:
    clock = Clock()
    clock.hears(invite("a@phone"))
    clock.recorder.dropped("guard_banned")
    clock.hears(message("REGISTER sip:office.test SIP/2.0", "r@phone"))
    clock.recorder.dropped("guard_banned")
    assert [str(entry.what) for entry in clock.find("a@phone") if entry.sent is None] == ["dropped: guard_banned"]


def test_calls_end_ordinarily_or_failed() -> None:
    clock = Clock()
    clock.call("good")
    clock.call("busy", disposition="busy", reason=reasons.BUSY)
    clock.call("unknown", disposition="failed", reason=reasons.UNKNOWN_NUMBER)
    clock.call("silent", reason=reasons.MEDIA_TIMEOUT)
    clock.hears(invite("stranger"))
    fates = {trace.id: trace.fate for trace in clock.recorder}
    assert fates == {
        "good": Fate.ENDED,
        "busy": Fate.ENDED,
        "unknown": Fate.FAILED,
        "silent": Fate.FAILED,
        "stranger": Fate.REFUSED,
    }


def test_messages_after_the_end_still_belong_to_the_call() -> None:
    clock = Clock()
    clock.call("c1")
    before = len(clock.find("c1"))
    clock.says(message("SIP/2.0 200 OK", "c1@phone"))
    assert len(clock.find("c1")) == before + 1


def test_a_call_id_that_is_used_again_opens_a_trace_of_its_own() -> None:
    clock = Clock()
    for call in ("c1", "c2"):
        clock.hears(invite("same@phone"))
        clock.starts(call, "same@phone")
        clock.ends(call)
    kinds = [[type(entry.what).__name__ for entry in clock.find(call)] for call in ("c1", "c2")]
    assert kinds == [["bytes", "CallStarted", "CallEnded"]] * 2
    assert clock.recorder.size == sum(trace.size for trace in clock.recorder)


def test_a_long_call_keeps_its_beginning_and_its_end() -> None:
    clock = Clock(entries=20, first_entries=5)
    for number in range(100):
        clock.hears(invite("a@phone", pad=number))
    trace = clock.find("a@phone")
    lengths = [len(entry.what) - len(invite("a@phone")) for entry in trace if isinstance(entry.what, bytes)]
    assert lengths == [*range(5), *range(85, 100)]
    assert trace.omitted == clock.recorder.counters["entries_omitted"] == 80
    assert trace.size == clock.recorder.size == 20 * ENTRY_COST + sum(map(len, (e.what for e in trace)))  # type: ignore[arg-type]  # all bytes


def test_a_call_of_huge_messages_stays_within_its_bytes() -> None:
    clock = Clock(bytes_of_call=100_000)
    for _ in range(50):
        clock.hears(invite("a@phone", pad=30_000))
        assert clock.find("a@phone").size <= 100_000


def test_the_total_pushes_out_strangers_then_good_calls_then_failures() -> None:
    clock = Clock(total_bytes=20_000)
    for name in ("failed@phone", "good@phone", "stranger", "up@phone"):
        clock.hears(invite(name, pad=2000))  # each more than the next message needs
    clock.call("failed", disposition="failed", reason=reasons.UNKNOWN_NUMBER)
    clock.call("good")
    clock.starts("up", "up@phone")
    order = []
    left = {trace.id for trace in clock.recorder}
    for number in range(200):
        clock.hears(message(f"INFO {number}", "up@phone", pad=200))
        now = {trace.id for trace in clock.recorder}
        order += left - now
        left = now
        assert clock.recorder.size <= 20_000
    assert order == ["stranger", "good", "failed", "up"]
    assert clock.recorder.counters["calls_pushed_out"] == 4


def test_a_flood_of_strangers_pushes_out_no_call() -> None:
    clock = Clock(refused=50)
    clock.call("good")
    for number in range(1000):
        clock.hears(invite(f"{number}@scanner"))
    assert len(clock.recorder) == 51 and clock.recorder.find("good") is not None
    assert len(clock.recorder._by_call_id) == 51


def test_only_so_many_ended_calls_are_kept_and_only_for_a_while() -> None:
    clock = Clock(ended=3, ended_s=60.0, failed_s=600.0)
    clock.call("failed", disposition="failed", reason=reasons.UNKNOWN_NUMBER)
    for number in range(5):
        clock.call(f"c{number}")
    assert [trace.id for trace in clock.recorder] == ["failed", "c2", "c3", "c4"]
    clock.now = 61.0
    clock.recorder.forget_old()
    assert [trace.id for trace in clock.recorder] == ["failed"]
    clock.now = 601.0
    clock.recorder.forget_old()
    assert (len(clock.recorder), clock.recorder.size) == (0, 0)
    assert not clock.recorder._by_call_id and not clock.recorder._by_leg


def test_nothing_of_a_muted_tenant_is_kept() -> None:
    clock = Clock(tenants=frozenset({"office.test"}))
    clock.call("before")
    clock.recorder.configure(enabled=True, muted=frozenset({"office.test"}))
    clock.hears(invite("a@phone"))
    clock.starts("c1", "a@phone")
    clock.starts("c2", "b@voipat", linked="c1")
    clock.says(invite("b@voipat"))
    clock.recorder.note("c1", "secret")
    assert list(clock.recorder) == [] and clock.recorder.size == 0
    assert clock.recorder.find("c1") is None
    clock.ends("c1")
    assert len(clock.recorder) == 0


def test_a_call_of_a_muted_tenant_that_looked_foreign_is_forgotten_when_it_is_known() -> None:
    clock = Clock()
    clock.recorder.configure(enabled=True, muted=frozenset({"office.test"}))
    clock.hears(invite("a@phone"))
    assert clock.recorder.size > 0
    clock.starts("c1", "a@phone")
    clock.hears(message("BYE x", "a@phone"))
    assert clock.recorder.size == 0 and list(clock.recorder) == []


def test_switched_off_it_keeps_nothing_and_forgets_what_it_had() -> None:
    clock = Clock()
    clock.call("c1")
    clock.recorder.configure(enabled=False)
    clock.call("c2")
    assert len(clock.recorder) == 0 and clock.recorder.figures()["bytes"] == 0
    clock.recorder.configure(enabled=True)
    clock.call("c3")
    assert [trace.id for trace in clock.recorder] == ["c3"]


def test_the_wallclock_of_an_entry_counts_from_the_first() -> None:
    clock = Clock()
    clock.hears(invite("a@phone"))
    clock.now = 2.5
    clock.hears(invite("a@phone"))
    trace = clock.find("a@phone")
    assert [trace.wallclock(entry.time) for entry in trace] == [1000.0, 1002.5]


@pytest.mark.slow
def test_ten_thousand_calls_stay_within_the_total() -> None:
    clock = Clock(total_bytes=16 * 1024 * 1024)
    for number in range(10_000):
        clock.hears(invite(f"{number}@phone"))
        clock.starts(f"c{number}", f"{number}@phone")
        for _ in range(10):
            clock.says(message("SIP/2.0 200 OK", f"{number}@phone", pad=500))
        assert clock.recorder.size <= 16 * 1024 * 1024
    assert len(clock.recorder) > 1000 and clock.recorder.find("c9999") is not None
    assert clock.recorder.size == sum(trace.size for trace in clock.recorder)


def test_what_is_counted_covers_what_python_takes() -> None:
    clock = Clock()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(200):
            clock.hears(invite(f"{number}@phone"), Flow("UDP", PHONE.local, Address(f"192.0.2.{number}", 5060)))
            clock.starts(f"c{number}", f"{number}@phone")
            for index in range(12):
                clock.now += 0.001
                flow = Flow("UDP", PHONE.local, Address(f"192.0.2.{number}", 5060 + index))
                clock.hears(message("SIP/2.0 200 OK", f"{number}@phone", pad=400 + index), flow)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < clock.recorder.size * 1.2
