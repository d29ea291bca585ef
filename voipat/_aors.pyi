from collections.abc import Sequence
from typing import Any

from voipat.location import Binding

class AorTable:
    @property
    def _aors(self) -> dict[tuple[str, str], Any]: ...
    def __init__(self) -> None: ...
    def bindings(self, tenant: str, aor: str, wallclock: float) -> Sequence[Binding]: ...
