"""`make races`: the transfers of the race matrices in every order, each state once, and what it came to.

The messages of one way stay in their order; with `--reordered` they overtake each other too, which takes hours.
"""

from __future__ import annotations

import argparse
import time

from tests.sim.interleavings import all_but_cdrs, explore
from tests.sim.test_race_matrices import RACES, TRANSFERS, silent_office


def main() -> None:
    """Try them; the first order that ends badly ends it with that order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--race", help="only those with this in their name, of all matrices; without: the transfers")
    parser.add_argument("--reordered", action="store_true", help="messages of one way overtake each other")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wanted = TRANSFERS if options.race is None else [name for name in RACES if options.race in name]
    for name in wanted:
        began = time.process_time()
        found = explore(RACES[name], silent_office(options.seed), merging=all_but_cdrs, reordering=options.reordered)
        took = time.process_time() - began
        print(
            f"{name}: {found.states} states, {found.orders} ends reached, the longest race {found.longest} steps, "
            f"{len(found.outcomes)} outcomes, none hung, nothing left; {took:.0f} s of CPU",
            flush=True,
        )


if __name__ == "__main__":
    main()
