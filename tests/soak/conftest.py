from __future__ import annotations

from tests.interop.conftest import server

__all__ = ["server"]
