"""libopus where the machine has one: found at run time and called by the native side through its addresses.

Looked for in this order: the file that VOIPAT_LIBOPUS names, the system's libopus.so.0, the copy inside an installed
PyAV. Without one, Opus is not offered; a call between two phones that both want it is relayed all the same.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from media.plugins import addresses

# The order of vp_opus.
_NAMES: Final = (
    "opus_encoder_create",
    "opus_encoder_destroy",
    "opus_encode",
    "opus_encoder_ctl",
    "opus_decoder_create",
    "opus_decoder_destroy",
    "opus_decode",
)


def _candidates() -> Iterator[str]:
    named = os.environ.get("VOIPAT_LIBOPUS")
    if named is not None:
        yield named  # it alone: "" keeps Opus out
        return
    yield "libopus.so.0"
    av = importlib.util.find_spec("av")
    if av is not None and av.origin is not None:
        beside = Path(av.origin).parent.parent / "av.libs"
        yield from (str(path) for path in sorted(beside.glob("libopus*.so*")))


@lru_cache(maxsize=1)
def maybe_opus() -> tuple[int, ...] | None:
    """The addresses of the functions, in the order of vp_opus; None when there is no libopus."""
    return next((found for path in _candidates() if path and (found := addresses(path, _NAMES)) is not None), None)
