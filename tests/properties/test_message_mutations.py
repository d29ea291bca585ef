"""Mutated messages keep the laws of the text layer (`fuzz.sip_mutations`); `make fuzz` runs a hundred times more."""

from __future__ import annotations

import random
from collections import Counter

from fuzz.sip_mutations import mutant, outcome, run


def test_mutants_keep_the_laws(seed: int) -> None:
    assert run(1500, seed) == 0


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert [mutant(random.Random(n)) for n in range(50)] == [mutant(random.Random(n)) for n in range(50)]


def test_at_least_a_third_of_the_mutants_are_valid_messages() -> None:
    tally = Counter(outcome(mutant(random.Random(number))) for number in range(1500))
    assert tally["valid"] >= 500
