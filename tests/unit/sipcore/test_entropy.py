"""Tokens from the system and from a seed."""

from __future__ import annotations

import pytest

from sipcore.aio.entropy import SystemEntropy
from sipcore.entropy import Entropy, SeededEntropy


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(7)], ids=["system", "seeded"])
def test_tokens_are_hexadecimal_of_twice_the_length_and_do_not_repeat(entropy: Entropy) -> None:
    tokens = [entropy.token(8) for _ in range(1000)]
    assert len(set(tokens)) == 1000
    assert all(len(token) == 16 and bytes.fromhex(token) for token in tokens)


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(7)], ids=["system", "seeded"])
def test_numbers_keep_to_their_range(entropy: Entropy) -> None:
    assert all(0 <= entropy.uint32() < 2**32 for _ in range(100))
    assert all(2.1 <= entropy.uniform(2.1, 4.0) < 4.0 for _ in range(1000))


def test_more_bytes_than_the_pool_holds_are_given() -> None:
    assert len(SystemEntropy().bytes(5000)) == 5000


def test_the_same_seed_gives_the_same_answers() -> None:
    def answers(seed: int) -> tuple[str, int, float, bytes]:
        entropy = SeededEntropy(seed)
        return entropy.token(), entropy.uint32(), entropy.uniform(0, 1), entropy.bytes(4)

    assert answers(5) == answers(5) != answers(6)
