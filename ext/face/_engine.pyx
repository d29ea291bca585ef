"""Where Python and the media kernels meet: handles, commands, events, counters. No algorithm is here.

A handle is `generation << 20 | slot`; a handle of a closed port raises StaleHandleError. All methods but `run` are for
one thread, the owner of the engine: they are the only producer of commands and the only consumer of events.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC
from posix.unistd cimport close, read, usleep

from kernel cimport *

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    pthread_t pthread_self()
    int pthread_setname_np(pthread_t thread, const char *name)

import os

from media.errors import CodecMissingError, EngineClosedError, EngineStalledError, StaleHandleError

cdef enum:
    SLOT_BITS = 20
    MAX_SLOTS = 1 << 20
    MAX_WORKERS = 64
    # A worker that takes no command for two seconds is dead; it looks at its ring every few microseconds.
    STALL_POLLS = 10_000
    STALL_POLL_US = 200

cdef uint64_t SECOND = 1_000_000_000

CARRIES_RTP = VP_CARRIES_RTP
CARRIES_DATAGRAMS = VP_CARRIES_DATAGRAMS

EVENT_TIMEOUT = VP_EVENT_TIMEOUT
EVENT_LATCHED = VP_EVENT_LATCHED
EVENT_DIGIT = VP_EVENT_DIGIT
EVENT_PLAYED = VP_EVENT_PLAYED
EVENT_KEYED = VP_EVENT_KEYED
EVENT_SPEAKING = VP_EVENT_SPEAKING
GAIN_ONE = VP_GAIN_ONE
NARROW_RATE = VP_NARROW_RATE
DROP_REASONS = VP_DROP_REASONS
LIST_MAX = VP_LIST_MAX
FORMATS_MAX = VP_FORMATS
KEYS_MAX = VP_KEYS_MAX
CRYPTO_OFF = VP_CRYPTO_OFF
CRYPTO_AWAITED = VP_CRYPTO_AWAITED
CRYPTO_ON = VP_CRYPTO_ON
FLIGHT_MAX = VP_FLIGHT_MAX
LATENESS_US = tuple(vp_tick_late_us[bucket] for bucket in range(8))
KEY_OFF_MIN = VP_KEY_OFF_MIN
KEY_ON_MAX = VP_KEY_ON_MAX

include "shared.pxi"
include "table.pxi"
include "verbs.pxi"
include "sound.pxi"


cdef class Core(_Sound):
    """All of it. media.engine.Engine is its only user."""

    # Events and figures

    def fileno(self):
        """The descriptor that becomes readable when events wait and `arm` was called; -1 on the manual clock."""
        return self.event_fd

    def arm(self):
        """Ask for a wake-up; True when events wait already."""
        cdef uint32_t index
        if self.workers is NULL:
            return False
        vp_arm(&self.armed)
        for index in range(self.worker_count):
            if not vp_ring_empty(&self.workers[index].events) or not vp_ring_empty(&self.workers[index].flights):
                return True
        return False

    def drain(self):
        """All events that wait, as (kind, handle, value, duration, detail, address | None): vp_event."""
        cdef vp_event event
        cdef uint32_t index
        cdef uint64_t wakes
        cdef list events = []
        if self.event_fd >= 0:
            read(self.event_fd, &wakes, sizeof(wakes))
        for index in range(self.worker_count if self.workers else 0):
            while vp_ring_pop(&self.workers[index].events, &event):
                address = address_pair(&event.address) if event.kind == VP_EVENT_LATCHED else None
                events.append((event.kind, event.port, event.value, event.duration, event.detail, address))
        return events

    def stats(self, uint64_t handle):
        """A tuple in the order of media.stats.PortStats' raw fields."""
        cdef vp_port *port = &self.ports[self.slot_of(handle)]
        cdef vp_address source
        cdef int reason
        if not vp_port_is_opened(port, handle):
            return (0, 0, 0, 0, 0, 0.0, [0] * VP_DROP_REASONS, None, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0)
        cdef uint32_t rate = port.clock_rate if port.clock_rate else 8000
        dropped = [VP_READ(port.counters.dropped[reason]) for reason in range(VP_DROP_REASONS)]
        return (
            vp_read64(port.counters.packets_in), vp_read64(port.counters.octets_in),
            vp_read64(port.counters.packets_out), vp_read64(port.counters.octets_out),
            <int64_t>vp_read64(port.counters.lost), (VP_READ(port.stream.jitter) >> 4) * 1000.0 / rate,
            dropped, address_pair(&source) if vp_read_source(port, &source) else None,
            VP_READ(port.counters.digits), vp_read64(port.counters.rtcp_in), vp_read64(port.counters.rtcp_out),
            <int32_t>VP_READ(port.rtcp.remote_lost), VP_READ(port.rtcp.remote_fraction) / 256.0,
            VP_READ(port.rtcp.remote_jitter) * 1000.0 / rate, VP_READ(port.rtcp.rtt) * 1000.0 / 65536,
            VP_READ(port.rtcp.remote_reports),
        )

    def figures(self):
        """(events lost to full rings, ticks that came late, CPU seconds of each worker)."""
        cdef uint32_t index
        cdef uint64_t lost = 0, late = 0
        cdef list cpu = []
        for index in range(self.worker_count if self.workers else 0):
            lost += vp_read64(self.workers[index].events_lost)
            late += vp_read64(self.workers[index].late_ticks)
            if vp_is_running(&self.workers[index]):
                cpu.append(vp_clock(self.workers[index].cpu_clock) / 1e9)
        return lost, late, cpu

    def lateness(self):
        """How many ticks were late by at most LATENESS_US[i], and at the end by more; of all workers together."""
        cdef uint32_t index
        cdef int bucket
        cdef list counts = [0] * VP_TICK_BUCKETS
        for index in range(self.worker_count if self.workers else 0):
            for bucket in range(VP_TICK_BUCKETS):
                counts[bucket] += vp_read64(self.workers[index].lateness[bucket])
        return counts

    def now(self):
        """Monotonic seconds: the manual clock's, or the machine's."""
        return (self.workers[0].context.now if self.manual and self.workers else vp_clock(CLOCK_MONOTONIC)) / 1e9

    # The manual clock: the same kernels, called from here

    def set_time(self, uint64_t now, uint64_t wallclock):
        """Nanoseconds, for what is commanded or fed from now on."""
        cdef uint32_t index
        for index in range(self.worker_count if self.workers else 0):
            self.workers[index].context.now = now
            self.workers[index].context.wallclock = wallclock

    def feed(self, uint64_t handle, const uint8_t[::1] packet, str host, uint16_t source_port, bint rtcp):
        """One datagram arrives at the port from (host, source_port)."""
        cdef uint8_t buffer[VP_MAX_PACKET]
        cdef vp_address source
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_port *out
        cdef size_t length = packet.shape[0]
        cdef vp_context *context = &self.workers[self.homes[slot]].context
        if not self.manual:
            raise ValueError("feed is for the manual clock")
        if vp_address_parse(&source, host.encode("ascii", "replace"), source_port) != 0:
            raise ValueError(f"{host!r} is not an IP address")
        if length > VP_MAX_PACKET:
            length = 0
        if length:
            memcpy(buffer, &packet[0], length)
        if self.ports[slot].carries:
            self.feed_carried(&self.ports[slot], buffer, length, &source, rtcp)
            return
        if rtcp:
            vp_port_receive_rtcp(&self.ports[slot], context, buffer, length, &source)
            return
        out = vp_port_receive(&self.ports[slot], context, buffer, &length, &source)
        if out is not NULL:
            self.send(out, vp_latch_destination(&out.latch), buffer, length, False)

    cdef int feed_carried(
        self, vp_port *port, uint8_t *packet, size_t length, const vp_address *source, int rtcp
    ) except -1:
        cdef vp_address to
        cdef vp_context *context = &self.workers[self.homes[port.id & (MAX_SLOTS - 1)]].context
        cdef vp_port *out = vp_carry_receive(port, context, packet, &length, source, &rtcp, &to)
        if out is NULL:
            return 0
        cdef const vp_address *destination = &to
        if not rtcp:
            destination = vp_latch_destination(&out.latch)
        return self.send(out, destination, packet, length, rtcp)

    cdef int produce(self, vp_worker *worker) except -1:
        """One tick of what ports send of themselves."""
        cdef uint8_t packet[VP_PRODUCED]
        cdef uint32_t place
        cdef vp_port *port
        cdef size_t length
        vp_worker_listen(worker)
        place = worker.producing_count
        while place:
            place -= 1
            port = &self.ports[worker.producing[place]]
            length = vp_port_produce(port, &worker.context, packet)
            while True:
                if length:
                    self.send(port, vp_latch_destination(&port.latch), packet, length, False)
                if not vp_port_owes_audio(port):
                    break
                length = vp_port_produce_audio(port, &worker.context, packet)
            vp_worker_settle(worker, port)
        return 0

    cdef int produce_ticks(self, vp_worker *worker, uint32_t passed) except -1:
        """Each tick at its time, however far the clock was moved."""
        cdef uint64_t now = worker.context.now
        while passed and worker.producing_count:
            passed -= 1
            worker.context.now = (worker.tick - passed) * VP_TICK
            self.produce(worker)
        worker.context.now = now
        return 0

    def producing(self):
        """How many ports play or send digits; on the manual clock."""
        return self.workers[0].producing_count if self.manual and self.workers else 0

    def step(self):
        """What time alone causes, when ticks of 20 ms have passed since the last time: what is played, reports due,
        media that stopped, digits whose end was lost."""
        cdef uint32_t index, position, passed
        cdef vp_worker *worker
        cdef vp_port *port
        for index in range(self.worker_count if self.workers else 0):
            worker = &self.workers[index]
            passed = vp_worker_ticks_passed(worker)
            if not passed:
                continue
            self.produce_ticks(worker, passed)
            for position in range(worker.owned_count):
                port = &self.ports[worker.owned[position]]
                vp_port_sweep(port, &worker.context)
                self.take_report(port, False)

    def take(self):
        """All packets sent since the last call, as (handle, (host, port), packet, is RTCP)."""
        sent, self.outbox = self.outbox, []
        return sent
