"""What the kit offers is what it lists."""

from __future__ import annotations

import voipat.testing


def test_every_listed_name_is_there_and_the_list_is_sorted() -> None:
    names = voipat.testing.__all__
    assert names == sorted(names)
    assert all(hasattr(voipat.testing, name) for name in names)
