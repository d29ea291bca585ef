"""Moments that are waited for, and the heap of them: asked several times a message, so their numbers are those of C.

What an entry is and when it counts is told in `sipcore.timers`, whose classes these are.
"""

from heapq import heappop, heappush

cdef extern from "math.h":
    double INFINITY

# Entries due in the same quarter of a second wait in one unsorted list until its turn comes.
cdef double BUCKETS_PER_SECOND = 4


cdef class Clock:
    """What waits for a moment, or for two: one repeats, one ends.

    Who waits for others too sets `computes` and says in `next_deadline` which is the first.
    """

    cdef public double interval
    cdef public double repeat_at
    cdef public double expire_at
    # Belongs to `Deadlines`; infinity when there is no entry.
    cdef public double scheduled
    cdef public bint computes

    def __cinit__(self, *arguments, **named):
        self.interval = self.repeat_at = self.expire_at = self.scheduled = INFINITY

    def next_deadline(self):
        """The moment this owner wants to be woken at; infinity for never."""
        return self.repeat_at if self.repeat_at < self.expire_at else self.expire_at

    def repeat(self, double interval, double now):
        """Fire the repeating timer after `interval`, then after intervals twice as long each."""
        self.interval = interval
        self.repeat_at = now + interval

    def give_up_after(self, double seconds, double now):
        """End by the other timer at the latest `seconds` from now, when nothing else would."""
        if self.expire_at == INFINITY:
            self.expire_at = now + seconds

    def stop(self):
        """Forget both timers."""
        self.interval = self.repeat_at = self.expire_at = INFINITY


cdef inline double deadline_of(Clock owner) except? -1:
    if owner.computes:
        return owner.next_deadline()
    return owner.repeat_at if owner.repeat_at < owner.expire_at else owner.expire_at


cdef class Deadlines:
    """A heap of (moment, order of entry, owner) for the near future, and lists for what is further away.

    Most entries are 32 s away and dead by then: in one heap of all, pushing and popping them was a fifth of the CPU
    of a call (7 µs a pop with 50,000 entries); a list costs an append, and its dead entries nothing.
    """

    cdef list _heap
    cdef dict _far
    cdef list _buckets
    # The newest bucket that went into the heap: what is due until its end goes there at once.
    cdef long long _horizon
    cdef long long _count
    # No deadline is nearer: what `next_timeout` last found, or what was noted since.
    cdef readonly double soonest

    def __init__(self):
        self._heap, self._far, self._buckets = [], {}, []
        self._horizon = -1
        self._count = 0
        self.soonest = INFINITY

    cpdef schedule(self, Clock owner):
        """Note the owner's deadline when it is nearer than the one noted before."""
        cdef double deadline = deadline_of(owner)
        cdef long long bucket
        if deadline >= owner.scheduled:
            return
        owner.scheduled = deadline
        if deadline < self.soonest:
            self.soonest = deadline
        self._count += 1
        entry = (deadline, self._count, owner)
        bucket = <long long>(deadline * BUCKETS_PER_SECOND)
        if bucket <= self._horizon:
            heappush(self._heap, entry)
        elif bucket in self._far:
            (<list>self._far[bucket]).append(entry)
        else:
            self._far[bucket] = [entry]
            heappush(self._buckets, bucket)

    def next_timeout(self):
        """The earliest deadline of all; None when nothing waits."""
        self.soonest = self.earliest()
        return None if self.soonest == INFINITY else self.soonest

    cdef double earliest(self) except? -1:
        cdef double moment
        cdef Clock owner
        while True:
            while self._heap:
                entry = <tuple>self._heap[0]
                moment, owner = entry[0], <Clock>entry[2]
                if moment == owner.scheduled and deadline_of(owner) == moment:
                    return moment
                heappop(self._heap)
                if moment == owner.scheduled:
                    self.note_again(owner)
            if not self._buckets:
                return INFINITY
            self.draw_near()

    def due(self, double now):
        """The owners whose deadline has come, each once per deadline, in the order of their deadlines."""
        cdef Clock owner
        while self.earliest() <= now and self._heap:
            owner = <Clock>(<tuple>heappop(self._heap))[2]
            owner.scheduled = INFINITY
            yield owner
            self.schedule(owner)

    cdef object draw_near(self):
        # Called with an empty heap: a sorted list is one.
        cdef double moment
        cdef Clock owner
        bucket = heappop(self._buckets)
        self._horizon = bucket
        for entry in sorted(<list>self._far.pop(bucket)):
            moment, owner = (<tuple>entry)[0], <Clock>(<tuple>entry)[2]
            if moment != owner.scheduled:
                continue
            if deadline_of(owner) == moment:
                heappush(self._heap, entry)
            else:
                self.note_again(owner)

    cdef object note_again(self, Clock owner):
        owner.scheduled = INFINITY
        self.schedule(owner)

    def owners(self):
        """Who has an entry, whether it counts still or not; for who looks on."""
        return [entry[2] for entries in (self._heap, *self._far.values()) for entry in entries]

    def __len__(self):
        return len(self._heap) + sum([len(entries) for entries in self._far.values()])


cdef class Wallclock:
    """Tells the time of `wallclock`, and calls `on_step(seconds)` before it does so for the first time after a step.

    A step is a change against `monotonic` of `least` seconds or more.
    """

    cdef object _wallclock
    cdef object _monotonic
    cdef object _on_step
    cdef double _least
    cdef double _offset

    def __init__(self, wallclock, monotonic, on_step, double least):
        self._wallclock, self._monotonic, self._on_step = wallclock, monotonic, on_step
        self._least = least
        self._offset = <double>wallclock() - <double>monotonic()

    def __call__(self):
        cdef double now = self._wallclock()
        cdef double offset = now - <double>self._monotonic()
        cdef double step = offset - self._offset
        self._offset = offset
        if step >= self._least or step <= -self._least:
            self._on_step(step)
        return now
