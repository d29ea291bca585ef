"""The header fields of a message: an ordered multi-map that knows compact forms and comma lists (RFC 3261 §7.3).

`Headers` itself is native (`ext/siptext`); the names it knows are in `sipcore.names`.
"""

from sipcore._siptext import Headers, canonical
from sipcore.names import COMPACT, KNOWN, LISTS

__all__ = ["COMPACT", "KNOWN", "LISTS", "Headers", "canonical"]
