"""The country of a number, and which ones a tenant has called (security.md H20).

Country codes are those of ITU-T E.164 annex D. Countries of the North American plan beside the United States and Canada
have an area code each: calls to them cost as calls abroad do, and fraud goes there for that reason.
"""

from __future__ import annotations

from typing import Final

from pbx.outside import TENANT
from pbx.tenant_state import TenantState

# All others have three digits, but for 1 and 7.
_TWO_DIGITS: Final = frozenset(
    {20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67), 81, 82, 84, 86}
    | {*range(90, 96), 98}
)
_ISLANDS: Final = frozenset(
    {242, 246, 264, 268, 284, 345, 441, 473, 649, 658, 664, 721, 758, 767, 784, 809, 829, 849, 868, 869, 876}
)
_KEY: Final = "outside.countries"


def country_of(number: str) -> str:
    """The code of an E.164 number's country ("+4930…": "49", "+1876…": "1876"); "" for anything else."""
    digits = number.removeprefix("+")
    if digits == number or not digits.isascii() or not digits.isdigit():
        return ""
    if digits[0] == "1":
        return digits[:4] if int(digits[1:4] or 0) in _ISLANDS else "1"
    if digits[0] == "7":
        return "7"
    return digits[: 2 if int(digits[:2]) in _TWO_DIGITS else 3]


def is_first_call(state: TenantState, country: str) -> bool:
    """Whether the tenant has never called there; it has from now on, also after a restart."""
    known = (state.get(TENANT, _KEY) or "").split()
    if country in known:
        return False
    state.set(TENANT, _KEY, " ".join([*known, country]))
    return True
