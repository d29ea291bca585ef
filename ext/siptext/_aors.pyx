"""The bindings of every address of record, as each request asks for them; what changes them is in `voipat.location`."""


cdef class AorTable:
    """`{(tenant, AOR): record}`, each with its `bindings`; the base of `MemoryLocation`."""

    cdef readonly dict _aors

    def __init__(self):
        self._aors = {}

    def bindings(self, str tenant not None, str aor not None, double wallclock):
        """Those that have not expired, highest q first, then the newest."""
        cdef tuple found
        record = self._aors.get((tenant, aor))
        if record is None:
            return ()
        found = record.bindings
        if len(found) == 1:
            return found if <double>found[0].expires_at > wallclock else ()
        live = [binding for binding in reversed(found) if <double>binding.expires_at > wallclock]
        live.sort(key=lambda binding: -binding.q)
        return live
