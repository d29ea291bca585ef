"""Where Python and the load generator meet: sockets, accounts and plans go in, counts come out. No algorithm is here."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from load cimport *

UDP, TCP, FED = LD_UDP, LD_TCP, LD_FED
REGISTRATION, CALL, OPTIONS = <int>LD_REGISTRATION, <int>LD_CALL, <int>LD_OPTIONS
NAME_MAX, TARGETS_MAX, PLANS_MAX, PROFILES_MAX = LD_NAME - 1, LD_TARGETS, LD_PLANS, LD_PROFILES

cdef double NS = 1e9


cdef int copy_text(char *into, size_t room, str text) except -1:
    cdef bytes octets = text.encode()
    if len(octets) >= <Py_ssize_t>room or b"\0" in octets:
        raise ValueError(f"{text[:60]!r} is longer than {room - 1} octets")
    memcpy(into, <const char *>octets, len(octets) + 1)
    return 0


cdef int fill_description(ld_description *said, tuple parts) except -1:
    """`parts`: what is before the port, what is behind it, the SRTP suite or "", the key in base64."""
    head, tail, suite, key = parts
    copy_text(said.head, LD_BODY, head)
    copy_text(said.tail, LD_BODY, tail)
    copy_text(said.suite, LD_SUITE, suite)
    copy_text(said.key, LD_KEY, key)
    return 0


cdef tuple histogram_of(const ld_histogram *histogram):
    """(sum in µs, largest in µs, {highest value of a bucket in µs: how many})."""
    cdef uint32_t bucket
    cdef dict filled = {}
    for bucket in range(<uint32_t>LD_BUCKETS):
        if histogram.buckets[bucket]:
            filled[ld_bucket_top(bucket)] = histogram.buckets[bucket]
    return histogram.sum_us, histogram.max_us, filled


cdef tuple media_of(ld_media *media):
    return media.local_port, media.host.decode(), media.port, media.payload_type, media.key.decode()


def bucketed(list values_us):
    """The histogram of these values, as `Agent.counts` gives them."""
    cdef ld_histogram *histogram = <ld_histogram *>calloc(1, sizeof(ld_histogram))
    cdef uint64_t value
    if histogram is NULL:
        raise MemoryError
    try:
        for value in values_us:
            ld_histogram_add(histogram, value * 1000)
        return histogram_of(histogram)
    finally:
        free(histogram)


cdef class Agent:
    """The phones. One thread uses it."""

    cdef ld_agent *agent  # freed in __dealloc__
    cdef uint32_t flow_room, account_room
    cdef list owned       # the sockets, kept open as long as they are used

    def __cinit__(self, str domain, str run, *, uint32_t flows, uint32_t accounts, uint32_t room, double patience,
                  uint16_t answer_media_from):
        """`run` makes the Call-IDs of this generator its own. `room`: calls and registrations at one time."""
        if not (0 < flows <= 1 << 16 and 0 < accounts <= 1 << 24 and 0 < room <= 1 << 18):
            raise ValueError(f"{flows} flows, {accounts} accounts, room for {room}")
        self.agent = <ld_agent *>calloc(1, sizeof(ld_agent))
        if self.agent is NULL:
            raise MemoryError
        self.agent.epoll = -1
        if not ld_agent_open(self.agent, flows, accounts, room):
            raise MemoryError
        self.flow_room, self.account_room = flows, accounts
        self.owned = []
        copy_text(self.agent.domain, LD_NAME, domain)
        copy_text(self.agent.run, LD_NAME, run)
        self.agent.patience = <uint64_t>(patience * NS)
        self.agent.answer_media_from = answer_media_from

    def __dealloc__(self):
        if self.agent is not NULL:
            ld_agent_close(self.agent)
            free(self.agent)

    def add_flow(self, object sock, int kind, str host):
        """A socket that is bound and connected, as `host:port` in Via and Contact; of kind FED None. Its index."""
        cdef epoll_event event
        cdef uint32_t index = self.agent.flow_count
        cdef int fd = -1 if sock is None else sock.fileno()
        if index == self.flow_room:
            raise ValueError(f"more than {self.flow_room} flows")
        if not ld_flow_open(&self.agent.flows[index], fd, kind, b""):
            raise MemoryError
        copy_text(<char *>self.agent.flows[index].host, 64, host)
        self.agent.flow_count += 1
        self.owned.append(sock)
        if kind != LD_FED:
            event.events, event.data.u32 = EPOLLIN, index
            if epoll_ctl(self.agent.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
                raise OSError(f"epoll_ctl of {fd}")
        return index

    def add_account(self, str user, str ha1, uint32_t flow):
        """A phone's user at a flow; `ha1` "" has no password. Its index."""
        cdef uint32_t index = self.agent.account_count
        if index == self.account_room or flow >= self.agent.flow_count:
            raise ValueError(f"account {index} on flow {flow}")
        copy_text(self.agent.accounts[index].user, LD_NAME, user)
        copy_text(self.agent.accounts[index].ha1, LD_MD5_HEX + 1, ha1)
        self.agent.accounts[index].flow = flow
        self.agent.account_count += 1
        return index

    def set_profile(self, uint32_t number, tuple description, bint rings):
        """How calls to the contact `pNUMBER` are answered."""
        if number >= LD_PROFILES:
            raise ValueError(f"profile {number} of {LD_PROFILES}")
        fill_description(&self.agent.profiles[number].said, description)
        self.agent.profiles[number].rings = rings

    def add_plan(self, int kind, *, double rate, uint64_t count, object hold, uint32_t accounts_from, uint32_t accounts,
                 list targets, str contact, tuple offer, uint16_t media_from, uint64_t seed, bint keeps_nonce, double delay):
        """Starts `count` units at `rate` a second, `delay` seconds from now; `hold` None: until `hang_up`. Its index.

        `seed` 0 spaces them evenly, any other is that of a Poisson process.
        """
        cdef uint32_t index = self.agent.plan_count
        cdef ld_plan *plan
        if index == LD_PLANS or not 0 < len(targets) <= LD_TARGETS or rate <= 0:
            raise ValueError(f"plan {index}, {len(targets)} targets, {rate} a second")
        if not accounts or accounts_from + accounts > self.agent.account_count:
            raise ValueError(f"accounts {accounts_from} to {accounts_from + accounts - 1}")
        plan = &self.agent.plans[index]
        memset(plan, 0, sizeof(ld_plan))
        plan.kind, plan.rate, plan.count = <ld_kind>kind, rate, count
        plan.hold = LD_FOREVER if hold is None else <uint64_t>(<double>hold * NS)
        plan.accounts_from, plan.accounts = accounts_from, accounts
        for number, target in enumerate(targets):
            copy_text(<char *>plan.target[<int>number], LD_NAME, target)
        plan.targets = <uint32_t>len(targets)
        copy_text(plan.contact, LD_NAME, contact)
        fill_description(&plan.offer, offer)
        plan.media_from, plan.keeps_nonce = media_from, keeps_nonce
        plan.is_poisson, plan.dice = seed != 0, seed
        plan.next = ld_now() + <uint64_t>(delay * NS)
        self.agent.plan_count += 1
        return index

    def run(self, double seconds):
        """Sends and answers for so long. Releases the GIL."""
        cdef uint64_t until = ld_now() + <uint64_t>(seconds * NS)
        with nogil:
            ld_run(self.agent, until)

    def stop(self, uint32_t plan):
        """Starts no more units of the plan."""
        self._plan(plan).count = self._plan(plan).launched

    def hang_up(self, uint32_t plan, double rate):
        """The calls of the plan that are up end, so many a second."""
        self._plan(plan)
        ld_hang_up_all(self.agent, plan, rate, ld_now())

    def counts(self, uint32_t plan):
        """What became of the plan's units so far."""
        cdef ld_plan *found = self._plan(plan)
        cdef ld_counts *counts = &found.counts
        return {
            "started": found.launched, "up": found.up, "ok": counts.ok, "failed": counts.failed,
            "timed_out": counts.timed_out, "hung_up": counts.hung_up, "retransmitted": counts.retransmitted,
            "challenged": counts.challenged, "unsent": counts.unsent,
            "statuses": {status: counts.statuses[status] for status in range(LD_STATUSES) if counts.statuses[status]},
            "late": histogram_of(&counts.late), "setup": histogram_of(&counts.setup),
            "teardown": histogram_of(&counts.teardown),
        }

    def totals(self):
        """Of all that passed the sockets."""
        cdef uint32_t flow
        cdef uint64_t drops = 0
        for flow in range(self.agent.flow_count):
            drops += ld_socket_drops(self.agent.flows[flow].fd)
        return {
            "messages_in": self.agent.messages_in, "messages_out": self.agent.messages_out,
            "not_sent": self.agent.not_sent, "unexpected": self.agent.unexpected, "asked": self.agent.asked,
            "answer_repeats": self.agent.answer_repeats, "kernel_drops": drops,
            "closed": sum([self.agent.flows[flow].closed for flow in range(self.agent.flow_count)]),
        }

    def media(self, uint32_t plan):
        """Of each call of the plan that is up: (our port, the server's host, its port, payload type, its SRTP key)."""
        cdef uint32_t slot
        self._plan(plan)
        return [
            media_of(&self.agent.units[slot].media)
            for slot in range(self.agent.fresh_unit)
            if self.agent.units[slot].plan == plan and self.agent.units[slot].state == LD_UP
        ]

    def answered_media(self, uint32_t profile):
        """As `media`, of the calls that were answered here."""
        cdef uint32_t slot
        return [
            media_of(&self.agent.answers[slot].media)
            for slot in range(self.agent.fresh_answer)
            if self.agent.answers[slot].state != LD_UNANSWERED and self.agent.answers[slot].profile == profile
        ]

    def feed(self, uint32_t flow, bytes octets):
        """What came on a flow that Python reads."""
        cdef ld_flow *found = self._fed(flow)
        cdef size_t size = len(octets)
        if found.in_length + size >= LD_STREAM:
            raise ValueError("more than a stream has room for")
        memcpy(found.incoming + found.in_length, <const char *>octets, size)
        found.in_length += size
        found.incoming[found.in_length] = 0
        ld_take_stream(self.agent, flow, ld_now())

    def outgoing(self, uint32_t flow):
        """What is to be written to a flow that Python writes."""
        cdef ld_flow *found = self._fed(flow)
        cdef bytes octets = found.out[:found.out_length]
        found.out_length = 0
        return octets

    cdef ld_plan *_plan(self, uint32_t plan) except NULL:
        if plan >= self.agent.plan_count:
            raise ValueError(f"plan {plan} of {self.agent.plan_count}")
        return &self.agent.plans[plan]

    cdef ld_flow *_fed(self, uint32_t flow) except NULL:
        if flow >= self.agent.flow_count or self.agent.flows[flow].fd >= 0:
            raise ValueError(f"Python does not feed flow {flow}")
        return &self.agent.flows[flow]


cdef class Audio:
    """What a stream sends again and again: payloads of 20 ms; stamped where they pass the server unchanged."""

    cdef ld_audio audio
    cdef uint8_t *octets  # freed in __dealloc__, as the other
    cdef uint32_t *ends

    def __cinit__(self, list payloads, *, uint32_t step, bint stamped):
        cdef uint32_t end = 0
        if not payloads or max(map(len, payloads)) > LD_PACKET - LD_RTP:
            raise ValueError("no payloads, or too long a one")
        if stamped and min(map(len, payloads)) < 24:
            raise ValueError("a stamp has 24 octets")
        joined = b"".join(payloads)
        self.octets = <uint8_t *>malloc(len(joined))
        self.ends = <uint32_t *>malloc(len(payloads) * sizeof(uint32_t))
        if self.octets is NULL or self.ends is NULL:
            raise MemoryError
        memcpy(self.octets, <const char *>joined, len(joined))
        for index, payload in enumerate(payloads):
            end += <uint32_t>len(payload)
            self.ends[<int>index] = end
        self.audio.octets, self.audio.ends = self.octets, self.ends
        self.audio.count, self.audio.step, self.audio.is_stamped = <uint32_t>len(payloads), step, stamped

    def __dealloc__(self):
        free(self.octets)
        free(self.ends)


cdef class Choir:
    """The media of many phones. `send` and `receive` have a thread each; `stop` ends them."""

    cdef ld_choir choir
    cdef uint32_t room
    cdef list owned

    def __cinit__(self, uint32_t room, tuple srtp=(0, 0)):
        """`srtp`: the addresses of libsrtp's srtp_protect and srtp_unprotect."""
        self.choir.streams = <ld_stream *>calloc(max(room, 1), sizeof(ld_stream))
        if self.choir.streams is NULL:
            raise MemoryError
        self.room = room
        self.owned = []
        self.choir.protect = <ld_crypt><size_t>srtp[0]
        self.choir.unprotect = <ld_crypt><size_t>srtp[1]

    def __dealloc__(self):
        free(self.choir.streams)

    def add(self, object sock, Audio audio not None, *, uint8_t payload_type, uint32_t ssrc, uint16_t sequence=0,
            uint32_t timestamp=0, size_t seal=0, size_t open=0, object owned=None):
        """A stream on a socket that is bound and connected; `seal` and `open` are sessions of libsrtp that `owned` owns.

        `sequence` and `timestamp` are those of its first packet: a call that was silent for a while goes on.
        """
        cdef ld_stream *stream
        if self.choir.count == self.room or ((seal or open) and self.choir.protect is NULL):
            raise ValueError("no room for a stream, or no libsrtp")
        stream = &self.choir.streams[self.choir.count]
        stream.fd, stream.payload_type, stream.audio, stream.ssrc = sock.fileno(), payload_type, &audio.audio, ssrc
        stream.seal, stream.open = <void *>seal, <void *>open
        stream.sequence, stream.timestamp = sequence, timestamp
        self.choir.count += 1
        self.owned.append((sock, audio, owned))

    def send(self):
        """Until `stop`. Releases the GIL."""
        with nogil:
            ld_choir_send(&self.choir)

    def receive(self):
        """Until `stop(2)`. Releases the GIL."""
        with nogil:
            ld_choir_receive(&self.choir)

    def stop(self, int step):
        """1: nothing more is sent; 2: nothing more is received."""
        self.choir.stopping = step

    def positions(self):
        """Of each stream, in the order in which they were added: (sequence, timestamp) of its next packet."""
        cdef uint32_t index
        return [
            (self.choir.streams[index].sequence, self.choir.streams[index].timestamp)
            for index in range(self.choir.count)
        ]

    def counts(self):
        """So far; may be asked while it runs."""
        cdef uint32_t index
        cdef uint64_t missing = 0, late = 0, drops = 0, silent = 0
        cdef double jitter = 0
        for index in range(self.choir.count):
            missing += self.choir.streams[index].missing
            late += self.choir.streams[index].late
            silent += self.choir.streams[index].received == 0
            jitter += self.choir.streams[index].jitter / 1e6
            drops += ld_socket_drops(self.choir.streams[index].fd)
        return {
            "streams": self.choir.count, "sent": self.choir.sent, "received": self.choir.received,
            "stamped": self.choir.stamped, "unsent": self.choir.unsent, "unopened": self.choir.unopened,
            "missing": missing, "late": late, "silent": silent, "kernel_drops": drops,
            "jitter_ms": jitter / max(self.choir.count, 1),
            "cpu_s": (self.choir.sender_ns + self.choir.receiver_ns) / NS,
            "lateness": histogram_of(&self.choir.lateness), "delay": histogram_of(&self.choir.delay),
            "gap": histogram_of(&self.choir.gap),
        }
