"""Codecs that a library of the machine brings, found at run time and called by the native side through its addresses.

A library is looked for under the name that its environment variable gives ("" keeps it out), else under the system's.
Without one the codec is passed on between two phones that both have it, and neither offered nor decoded by voipat.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


def addresses(path: str, names: Sequence[str]) -> tuple[int, ...] | None:
    """Where these functions of a library are; None when there is no such library or it lacks one."""
    try:
        library = ctypes.CDLL(path)  # never unloaded: the native side has its addresses
        found = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names]
    except (OSError, AttributeError):
        return None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Plugin:
    """`kind` is the codec's in vp_codec_kind; `names` are in the order of its header; `also` must be there as well."""

    codec: str
    kind: int
    library: str
    package: str  # of Debian, for who has to install it
    variable: str
    names: tuple[str, ...]
    also: tuple[str, ...] = ()


PLUGINS: Final = (
    Plugin(
        "G729",
        kind=6,
        library="libbcg729.so.0",
        package="libbcg729-0",
        variable="VOIPAT_LIBBCG729",
        names=(
            "initBcg729EncoderChannel",
            "closeBcg729EncoderChannel",
            "bcg729Encoder",
            "initBcg729DecoderChannel",
            "closeBcg729DecoderChannel",
            "bcg729Decoder",
        ),
        also=("bcg729GetRFC3389Payload",),  # of 1.0.2, which gave the others their arguments of today
    ),
)


def maybe_plugin(codec: str) -> Plugin | None:
    """The plug-in of a codec by its SDP name in any case."""
    return next((each for each in PLUGINS if each.codec.lower() == codec.lower()), None)


@lru_cache(maxsize=len(PLUGINS))
def plugin_functions(plugin: Plugin) -> tuple[int, ...]:
    """The addresses of its library's functions in the order of `names`; nothing when there is no library."""
    path = os.environ.get(plugin.variable, plugin.library)
    found = addresses(path, (*plugin.names, *plugin.also)) if path else None
    return found[: len(plugin.names)] if found is not None else ()
