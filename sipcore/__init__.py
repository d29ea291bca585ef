"""SIP without I/O: bytes and time in, bytes and events out (RFC 3261 and its updates)."""
