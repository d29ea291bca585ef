"""Token buckets, and tables of bounded size to keep them in; all is O(1). Native: `ext/siptext/_guard.pyx`."""

from __future__ import annotations

from sipcore._guard import Bucket, Recent

__all__ = ["Bucket", "Recent"]
