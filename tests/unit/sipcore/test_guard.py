"""The guard: buckets, bans that grow, and who is never banned."""

from __future__ import annotations

import time
import tracemalloc
from ipaddress import ip_network

from sipcore.guard import Admission, Guard, GuardPolicy
from sipcore.strangers import StrangerPolicy

SCANNER, OFFICE, PHONE = "198.51.100.66", "192.0.2.1", "203.0.113.5"
ADMITTED, LIMITED, BANNED, UNANSWERED = Admission.ADMITTED, Admission.LIMITED, Admission.BANNED, Admission.UNANSWERED


def fail(guard: Guard, source: str, account: str, times: int, now: float = 0.0) -> bool:
    return [guard.failed(source, account, now) for _ in range(times)][-1]


def admit(guard: Guard, source: str, account: str, now: float) -> Admission:
    """As the gate asks: by the source, then whether the account is banned there, then whether it may be guessed at."""
    admission = guard.admit(source, now)
    if admission is ADMITTED and guard.is_banned(source, account, now):
        return BANNED
    return admission if guard.may_guess(source, account, now) else LIMITED


def test_a_burst_passes_and_then_the_rate() -> None:
    guard = Guard(GuardPolicy(rate=2.0, burst=3.0))
    assert [guard.admit(SCANNER, 0.0) for _ in range(5)] == [ADMITTED] * 3 + [LIMITED] * 2
    assert [guard.admit(SCANNER, 1.0) for _ in range(3)] == [ADMITTED] * 2 + [LIMITED]
    assert guard.admit(OFFICE, 1.0) is ADMITTED


def test_a_request_that_authenticates_costs_nothing() -> None:
    guard = Guard(GuardPolicy(rate=0.0, burst=1.0))
    for _ in range(100):
        assert admit(guard, OFFICE, "1001", 0.0) is ADMITTED
        guard.succeeded(OFFICE, "1001", 0.0)


def test_repeated_failures_ban_the_source_and_the_ban_ends() -> None:
    guard = Guard(GuardPolicy(failures=3, first_ban_s=60.0))
    assert not fail(guard, SCANNER, "1001", 2)
    assert fail(guard, SCANNER, "1002", 1)
    assert admit(guard, SCANNER, "1003", 1.0) is BANNED
    assert guard.banned(1.0) == [(SCANNER, "", 59.0)]
    assert admit(guard, SCANNER, "1003", 60.5) is ADMITTED


def test_each_ban_is_twice_as_long_up_to_the_longest_and_peace_resets_it() -> None:
    guard = Guard(GuardPolicy(failures=1, first_ban_s=60.0, longest_ban_s=200.0))
    lengths = []
    now = 0.0
    for _ in range(4):
        fail(guard, SCANNER, "1001", 1, now)
        lengths.append(guard.banned(now)[0][2])
        now += lengths[-1] + 1.0
    assert lengths == [60.0, 120.0, 200.0, 200.0]
    fail(guard, SCANNER, "1001", 1, now + 300.0)
    assert guard.banned(now + 300.0)[0][2] == 60.0


def test_without_settings_it_is_as_the_guide_says() -> None:
    """docs/concepts/guard.md: ten within a minute or so, silent for a minute, then two, up to an hour; 200 a second."""
    guard = Guard()
    now, lengths = 0.0, []
    for _ in range(8):
        assert [guard.failed(SCANNER, "1001", now) for _ in range(10)] == [False] * 9 + [True]
        lengths.append(round(guard.banned(now)[0][2]))
        now += lengths[-1] + 0.1
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    guard = Guard()
    guard.registered(OFFICE, until=3600.0)
    assert [guard.admit(OFFICE, 0.0) for _ in range(1001)] == [ADMITTED] * 1000 + [LIMITED]
    assert [guard.admit(OFFICE, 1.0) for _ in range(201)] == [ADMITTED] * 200 + [LIMITED]
    # A burst of 3000 of which forged sources may have two thirds; then, but for the last third, 1000 a second.
    forged = [f"10.{number >> 8}.{number & 255}.1" for number in range(3000)]
    assert [guard.admit(source, 0.0) for source in forged].count(ADMITTED) == 2000
    assert [guard.admit(source.removesuffix("1") + "2", 1.0) for source in forged].count(ADMITTED) == 1000
    assert (
        sum(
            guard.may_guess(f"192.0.3.{at}", "1001", 1.0) and not guard.failed(f"192.0.3.{at}", "1001", 1.0)
            for at in range(200)
        )
        == 100
    )


def test_slow_failures_are_forgiven() -> None:
    guard = Guard(GuardPolicy(failures=3, forgive_s=60.0))
    assert not any(guard.failed(OFFICE, "1001", 60.0 * index) for index in range(100))


def test_a_source_with_a_registration_is_not_banned_for_another_account() -> None:
    guard = Guard(GuardPolicy(failures=3))
    guard.registered(OFFICE, until=3600.0)
    assert fail(guard, OFFICE, "1009", 3)
    assert admit(guard, OFFICE, "1009", 1.0) is BANNED
    assert admit(guard, OFFICE, "1001", 1.0) is ADMITTED
    assert guard.admit(OFFICE, 1.0) is ADMITTED


def test_a_registration_lifts_the_ban_of_its_source_and_its_end_lifts_the_privilege() -> None:
    guard = Guard(GuardPolicy(failures=3, first_ban_s=600.0))
    fail(guard, OFFICE, "1009", 3)
    guard.registered(OFFICE, until=100.0)
    assert admit(guard, OFFICE, "1001", 50.0) is ADMITTED
    assert admit(guard, OFFICE, "1001", 150.0) is BANNED


def test_success_forgives_the_mistakes_of_that_account() -> None:
    guard = Guard(GuardPolicy(failures=3))
    guard.registered(OFFICE, until=3600.0)
    fail(guard, OFFICE, "1001", 2)
    guard.succeeded(OFFICE, "1001", 0.0)
    assert not fail(guard, OFFICE, "1001", 2)


def test_trusted_networks_are_neither_limited_nor_banned() -> None:
    guard = Guard(GuardPolicy(rate=0.0, burst=0.0, failures=1), trusted=[ip_network("192.0.2.0/24")])
    assert not guard.failed(OFFICE, "1001", 0.0)
    assert admit(guard, OFFICE, "1001", 0.0) is ADMITTED
    assert admit(guard, SCANNER, "1001", 0.0) is LIMITED


def test_bans_can_be_switched_off_and_forgiven() -> None:
    assert not fail(Guard(GuardPolicy(ban=False, failures=1)), SCANNER, "1001", 5)
    guard = Guard(GuardPolicy(failures=1))
    guard.registered(OFFICE, until=3600.0)
    fail(guard, SCANNER, "1001", 1)
    fail(guard, OFFICE, "1001", 1)
    guard.forgive(SCANNER)
    guard.forgive(OFFICE)
    assert guard.banned(0.0) == []


def test_memory_is_bounded_and_the_longest_untouched_is_forgotten() -> None:
    guard = Guard(GuardPolicy(rate=0.0, burst=1.0, sources=12))
    sources = [f"198.51.100.{index}" for index in range(4)]
    assert [guard.admit(source, 0.0) for source in sources] == [ADMITTED] * 4
    assert guard.admit(sources[3], 0.0) is LIMITED
    assert guard.admit(sources[0], 0.0) is ADMITTED


def test_a_forged_flood_costs_bounded_memory() -> None:
    # X2: a million sources in the long run; these tables are a thousandth of the real ones.
    guard = Guard(GuardPolicy(sources=100, strangers=StrangerPolicy(sources=50)))

    def flood(begin: int, end: int) -> int:
        for number in range(begin, end):
            source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            guard.ignores(source, number / 1e4, lambda: True)
            guard.admit(source, number / 1e4)
            guard.answers_stray(source, number / 1e4)
            # Guesses, each at another account: those who read our answers may do that.
            guard.may_guess(source, f"{number}@office.test", number / 1e4)
            guard.failed(source, f"{number}@office.test", number / 1e4)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        filled = flood(0, 1_000)
        assert flood(1_000, 4_000) <= filled + 40_000
    finally:
        tracemalloc.stop()


def test_a_new_source_costs_the_same_when_the_tables_are_full() -> None:
    """X2: O(1). A walk over the tables would cost thousands of times as much; the bound is for a busy machine."""

    def cost(guard: Guard, net: str) -> float:
        """Processor seconds of 10,000 sources that nobody saw before, the best of three."""
        taken = []
        for turn in range(3):
            sources = [f"{net}.{turn}.{number >> 8}.{number & 255}" for number in range(10_000)]
            begin = time.thread_time()
            for source in sources:
                guard.admit(source, 1.0)
            taken.append(time.thread_time() - begin)
        return min(taken)

    full = Guard()
    for number in range(100_000):
        source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        full.admit(source, 0.0)
        full.failed(source, f"{number}@office.test", 0.0)
        full.registered(source, until=0.5)
    assert cost(full, "11") < 10 * cost(Guard(), "11")


def test_a_long_account_is_cut() -> None:
    guard = Guard(GuardPolicy(failures=1))
    guard.registered(OFFICE, until=3600.0)
    guard.failed(OFFICE, "x" * 5000, 0.0)
    assert len(guard.banned(0.0)[0][1]) == 128
    assert admit(guard, OFFICE, "x" * 4000, 0.0) is BANNED


def test_guesses_at_one_account_from_everywhere_have_a_rate_of_their_own() -> None:
    guard = Guard(GuardPolicy(account_rate=1.0, account_burst=3.0))
    sources = [f"198.51.100.{index}" for index in range(5)]
    allowed = []
    for source in sources:
        allowed.append(guard.may_guess(source, "1001@a.test", 0.0))
        guard.failed(source, "1001@a.test", 0.0)
    assert allowed == [True] * 3 + [False] * 2
    assert guard.may_guess(SCANNER, "1001@b.test", 0.0)
    assert guard.may_guess(SCANNER, "1001@a.test", 1.0)


def test_who_only_asks_uses_up_nothing_of_an_account() -> None:
    # A forged flood cannot bring a nonce of ours, so nothing of it is a guess.
    guard = Guard(GuardPolicy(account_rate=0.0, account_burst=1.0))
    for number in range(1000):
        guard.admit(f"10.0.{number // 250}.{number % 250}", 0.0)
    assert guard.may_guess(OFFICE, "1001", 0.0)


def test_the_last_guesses_at_an_account_are_for_who_was_not_wrong_yet() -> None:
    guard = Guard(GuardPolicy(account_rate=0.0, account_burst=30.0, failures=1000))
    wrong = 0
    while guard.may_guess(SCANNER, "1001", 0.0):
        guard.failed(SCANNER, "1001", 0.0)
        wrong += 1
    assert wrong == 20
    assert guard.may_guess(OFFICE, "1001", 0.0)


def test_who_is_registered_does_not_suffer_from_those_who_guess_elsewhere() -> None:
    guard = Guard(GuardPolicy(account_rate=0.0, account_burst=1.0))
    guard.registered(OFFICE, until=3600.0)
    guard.failed(SCANNER, "1001", 0.0)
    assert not guard.may_guess(SCANNER, "1001", 0.0)
    assert guard.may_guess(OFFICE, "1001", 0.0)


def test_each_registered_phone_of_a_source_has_a_budget_of_its_own() -> None:
    guard = Guard(GuardPolicy(rate=1.0, burst=2.0))
    guard.registered(OFFICE, until=3600.0)
    assert [guard.admit(OFFICE, 0.0) for _ in range(3)] == [ADMITTED, ADMITTED, LIMITED]
    assert [guard.admit(OFFICE, 0.0, account="1001") for _ in range(3)] == [ADMITTED, ADMITTED, LIMITED]
    guard.succeeded(OFFICE, "1001", 0.0)
    assert guard.admit(OFFICE, 0.0, account="1001") is ADMITTED
    assert guard.admit(OFFICE, 0.0) is LIMITED


def test_a_source_with_a_registration_or_trusted_asks_nothing_of_the_strangers() -> None:
    guard = Guard(GuardPolicy(strangers=StrangerPolicy(rate=0.0, burst=3.0)), trusted=[ip_network("192.0.2.0/24")])
    guard.registered(PHONE, until=3600.0)
    strangers = [guard.admit(f"10.0.0.{number}", 0.0) for number in range(20)]
    assert strangers == [ADMITTED, ADMITTED] + [UNANSWERED] * 18
    assert [guard.admit(source, 0.0) for source in (OFFICE, PHONE) * 50] == [ADMITTED] * 100
    assert guard.answers_stray(OFFICE, 0.0) and guard.answers_stray(PHONE, 0.0)
    assert not guard.answers_stray("10.0.1.1", 0.0)
    assert guard.admit(PHONE, 3601.0) is UNANSWERED
