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


cdef int parse_address(vp_address *address, object pair) except -1:
    """Fill `address` from (host, port), or leave it unset for None."""
    memset(address, 0, sizeof(vp_address))
    if pair is None:
        return 0
    host, port = pair
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port} is not in 0..65535")
    if vp_address_parse(address, host.encode("ascii", "replace"), port) != 0:
        raise ValueError(f"{host!r} is not an IP address")
    return 0


cdef tuple address_pair(const vp_address *address):
    cdef char text[INET6_ADDRSTRLEN]
    return (vp_address_host(address, text).decode("ascii"), vp_address_port(address))


cdef class EncodedAudio:
    """A prompt as its listeners share it: the codes of one codec, an octet a sample. Never changes."""

    cdef vp_prompt *prompt  # one reference is ours, released in __dealloc__

    def __cinit__(self, const uint8_t[::1] codes, list lengths=None):
        """`lengths` are those of the payloads of 20 ms that lie in `codes`, for a codec whose octets are no samples."""
        if codes.shape[0] == 0 or codes.shape[0] > 1 << 30:
            raise ValueError(f"{codes.shape[0]} octets are no prompt")
        cdef uint32_t frame = 0, length
        if lengths is not None and (sum(lengths) != codes.shape[0] or max(lengths) > VP_PAYLOAD_MAX or min(lengths) < 1):
            raise ValueError("the payloads and their lengths differ")
        self.prompt = vp_prompt_new(&codes[0], <uint32_t>codes.shape[0], 0 if lengths is None else <uint32_t>len(lengths))
        if self.prompt is NULL:
            raise MemoryError
        for length in lengths or ():
            vp_prompt_set_frame(self.prompt, frame, length)
            frame += 1

    def __dealloc__(self):
        vp_prompt_release(self.prompt)

    def __len__(self):
        """Octets of memory."""
        return self.prompt.octets

    @property
    def seconds(self):
        """How long it is."""
        return self.prompt.length / 8000.0


cdef vp_playlist *make_list(object prompts, uint32_t turns) except NULL:
    """A list of EncodedAudio, with references of its own."""
    cdef vp_playlist *made
    cdef EncodedAudio audio
    cdef uint32_t index = 0
    cdef tuple all_of_it = tuple(prompts)
    if not 1 <= len(all_of_it) <= VP_LIST_MAX:
        raise ValueError(f"a list has 1 to {VP_LIST_MAX} prompts, not {len(all_of_it)}")
    for item in all_of_it:
        if not isinstance(item, EncodedAudio):
            raise TypeError(f"{type(item).__name__} is no EncodedAudio")
    made = vp_playlist_new(<uint32_t>len(all_of_it), turns)
    if made is NULL:
        raise MemoryError
    for index in range(<uint32_t>len(all_of_it)):
        audio = <EncodedAudio>all_of_it[index]
        vp_playlist_set(made, index, audio.prompt)
    return made


cdef class Room:
    """A mixer's memory: its members hold it too. All of them are on one worker."""

    cdef vp_mixer *mixer  # one reference is ours, released in __dealloc__
    cdef readonly int worker

    def __cinit__(self, uint32_t rate, int worker):
        if rate not in (8000, 16000, 48000):
            raise ValueError(f"{rate} samples a second: a room has 8000, 16000 or 48000")
        self.mixer = vp_mixer_new(rate)
        if self.mixer is NULL:
            raise MemoryError
        self.worker = worker

    def __dealloc__(self):
        vp_mixer_release(self.mixer)


cdef int fill_plugin(vp_plugin *plugin, int kind, tuple functions) except -1:
    cdef size_t address
    if len(functions) > VP_PLUGIN_FUNCTIONS or not all(functions):
        raise ValueError(f"the library of codec {kind} lacks a function")
    plugin[0] = vp_plugin_of(kind)[0]
    for index, address in enumerate(functions):
        plugin.functions[<int>index] = <void *>address
    return 0


cdef struct Libraries:
    const vp_opus *opus  # NULL: there is none
    const vp_plugin *plugins[VP_PLUGINS]


cdef int fill_formats(vp_format *formats, object described, const Libraries *libraries) except -1:
    """How many; each is (kind, payload type, clock rate, rate, ptime in ms, settings of Opus)."""
    cdef int count = 0
    if len(described) > VP_FORMATS:
        raise ValueError(f"{len(described)} codecs are more than {VP_FORMATS}")
    for kind, payload_type, clock_rate, rate, ptime_ms, settings in described:
        if not (0 <= kind < VP_CODECS and 0 <= payload_type < 128 and 5 <= ptime_ms <= 120):
            raise ValueError(f"codec {kind}, payload type {payload_type}, {ptime_ms} ms")
        formats[count].kind, formats[count].payload_type = kind, payload_type
        formats[count].clock_rate, formats[count].rate, formats[count].ptime_ms = clock_rate, rate, ptime_ms
        formats[count].opus = libraries.opus
        formats[count].plugin = libraries.plugins[kind - VP_CODEC_PLUGINS] if kind >= VP_CODEC_PLUGINS else NULL
        formats[count].settings.bitrate, formats[count].settings.complexity = settings[0], settings[1]
        formats[count].settings.loss_percent = settings[2]
        formats[count].settings.fec, formats[count].settings.dtx = settings[3], settings[4]
        count += 1
    return count


cdef tuple intake_counts(const vp_intake_counters *counters):
    return (VP_READ(counters.decoded), VP_READ(counters.late), VP_READ(counters.duplicate), VP_READ(counters.overflow),
            VP_READ(counters.garbage), VP_READ(counters.concealed), VP_READ(counters.recovered),
            VP_READ(counters.starved), VP_READ(counters.stretched), VP_READ(counters.delay_ms), VP_READ(counters.target_ms))


cdef class Core:
    """The engine's memory: the table of ports, the workers, their rings. media.engine.Engine is its only user."""

    cdef vp_port *ports  # freed in __dealloc__, as all the arrays here
    cdef vp_worker *workers
    cdef uint32_t *generations
    cdef uint32_t *closing  # a ring of slots whose close has been commanded, oldest first
    cdef uint8_t *homes     # slot → worker, as far as commands were given
    cdef uint8_t *taken     # slot → a handle is out
    cdef uint32_t capacity, worker_count, fresh, closing_head, closing_tail
    cdef uint32_t armed
    cdef int event_fd
    cdef bint manual, closed
    cdef vp_opus opus  # workers read these two; they hold a reference to this object
    cdef vp_plugin plugins[VP_PLUGINS]
    cdef Libraries libraries
    cdef list outbox
    cdef vp_srtp_library srtp  # functions of libsrtp, by `use_srtp`
    cdef uint32_t crypto_version
    cdef dict pinned   # slot → (what its SRTP uses, what it used before that and may still receive with)
    cdef list retired  # (slot, generation, version, what the worker may use until it has applied that version)

    def __cinit__(self, uint32_t capacity, uint32_t workers, bint manual, double media_timeout, uint32_t events):
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be in 1..{MAX_WORKERS}")
        if not 1 <= capacity <= MAX_SLOTS:
            raise ValueError(f"capacity must be in 1..{MAX_SLOTS}")
        self.capacity, self.worker_count, self.manual = capacity, workers, manual
        self.event_fd = -1 if manual else os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.outbox = []
        self.pinned, self.retired = {}, []
        # calloc of this size is untouched memory: a port costs nothing before it is first opened.
        self.ports = <vp_port *>calloc(capacity, sizeof(vp_port))
        self.workers = <vp_worker *>calloc(workers, sizeof(vp_worker))
        self.generations = <uint32_t *>calloc(capacity, sizeof(uint32_t))
        self.closing = <uint32_t *>calloc(capacity, sizeof(uint32_t))
        self.homes = <uint8_t *>calloc(capacity, 1)
        self.taken = <uint8_t *>calloc(capacity, 1)
        if not (self.ports and self.workers and self.generations and self.closing and self.homes and self.taken):
            raise MemoryError
        cdef uint32_t index
        for index in range(workers):
            if vp_worker_init(&self.workers[index], index, self.ports, capacity, manual,
                              <uint64_t>(media_timeout * SECOND), self.event_fd, &self.armed, events) != 0:
                raise MemoryError("no memory or no descriptors for a media worker")
        self.armed = 1

    cdef void free_workers(self) noexcept:
        cdef uint32_t index
        for index in range(self.worker_count if self.workers else 0):
            if self.manual:
                self.drop_ports(&self.workers[index])
            vp_worker_free(&self.workers[index])
        free(self.workers)
        self.workers = NULL
        if self.event_fd >= 0:
            close(self.event_fd)
        self.event_fd = -1

    cdef void drop_ports(self, vp_worker *worker) noexcept:
        cdef uint32_t position
        for position in range(worker.owned_count):
            vp_port_fall_silent(&self.ports[worker.owned[position]])
        worker.owned_count = worker.producing_count = 0

    def __dealloc__(self):
        # A thread in `run` holds a reference: here none runs.
        self.free_workers()
        free(self.ports)
        free(self.generations)
        free(self.closing)
        free(self.homes)
        free(self.taken)

    # Threads

    def run(self, uint32_t index):
        """The body of worker thread `index`; returns after `stop`."""
        if index >= self.worker_count or self.manual:
            raise ValueError(f"no worker {index}")
        with nogil:
            vp_worker_run(&self.workers[index])

    def stop(self):
        """Command every worker to close its ports and return; from now on every verb raises EngineClosedError."""
        cdef vp_command command
        cdef uint32_t index
        if self.closed:
            return
        memset(&command, 0, sizeof(command))
        command.kind = VP_COMMAND_STOP
        for index in range(self.worker_count):
            self.give(index, &command)
        self.closed = True

    def release(self):
        """After `stop`, when every thread has returned: give the descriptors back."""
        if not self.closed:
            raise ValueError("stop first")
        self.free_workers()
        self.pinned.clear()
        self.retired.clear()

    cdef int give(self, uint32_t worker, const vp_command *command) except -1:
        cdef int polls = 0
        if self.closed:
            raise EngineClosedError("the engine is closed")
        while not vp_worker_command(&self.workers[worker], command):
            polls += 1
            if polls > STALL_POLLS:
                raise EngineStalledError(f"media worker {worker} takes no commands")
            with nogil:
                usleep(STALL_POLL_US)
        return 0

    cdef int64_t slot_of(self, uint64_t handle) except -1:
        cdef uint32_t slot = handle & (MAX_SLOTS - 1)
        if self.closed:
            raise EngineClosedError("the engine is closed")
        if slot >= self.capacity or not self.taken[slot] or self.generations[slot] != handle >> SLOT_BITS:
            raise StaleHandleError(f"port handle {handle:#x} is closed")
        return slot

    # Ports

    cdef int64_t take_slot(self) noexcept:
        """A slot that no worker touches, or -1."""
        cdef uint32_t slot
        if self.closing_head != self.closing_tail:
            slot = self.closing[self.closing_tail % self.capacity]
            if vp_port_is_free(&self.ports[slot]):
                self.closing_tail += 1
                return slot
        if self.fresh == self.capacity:
            return -1
        self.fresh += 1
        return self.fresh - 1

    cdef int open_sockets(self, str host, uint16_t rtp_port, int dscp, vp_open *open) except -1:
        cdef vp_address local
        if self.manual:
            open.rtp_fd = open.rtcp_fd = -1
            return 0
        parse_address(&local, (host, rtp_port))
        open.rtp_fd = vp_socket_open(&local, dscp)
        if open.rtp_fd < 0:
            raise OSError(-open.rtp_fd, os.strerror(-open.rtp_fd))
        parse_address(&local, (host, rtp_port + 1))
        open.rtcp_fd = vp_socket_open(&local, dscp)
        if open.rtcp_fd < 0:
            close(open.rtp_fd)
            raise OSError(-open.rtcp_fd, os.strerror(-open.rtcp_fd))
        return 0

    def open(self, str host, uint16_t rtp_port, int dscp, uint32_t ssrc, uint16_t sequence, uint32_t timestamp,
             int worker):
        """The handle of a new port on `host`, RTP on `rtp_port` and RTCP above it; 0 when the table is full."""
        cdef vp_command command
        cdef int64_t slot
        if self.closed:
            raise EngineClosedError("the engine is closed")
        if not 0 <= worker < <int>self.worker_count:
            raise ValueError(f"no worker {worker}")
        memset(&command, 0, sizeof(command))
        slot = self.take_slot()
        if slot < 0:
            return 0
        try:
            self.open_sockets(host, rtp_port, dscp, &command.open)
        except BaseException:
            self.closing[self.closing_head % self.capacity] = <uint32_t>slot
            self.closing_head += 1
            raise
        self.generations[slot] += 1
        self.taken[slot] = True
        self.homes[slot] = <uint8_t>worker
        command.kind, command.slot = VP_COMMAND_OPEN, <uint32_t>slot
        command.open.id = <uint64_t>self.generations[slot] << SLOT_BITS | <uint64_t>slot
        command.open.ssrc, command.open.sequence, command.open.timestamp = ssrc, sequence, timestamp
        vp_port_reserve(&self.ports[slot], worker)
        self.give(worker, &command)
        return command.open.id

    def close(self, uint64_t handle):
        """Let go of the port: its slot and numbers come back once the worker has closed the sockets."""
        cdef int64_t slot = self.slot_of(handle)
        if self.manual:
            self.take_report(&self.ports[slot], True)
        self.command(slot, VP_COMMAND_CLOSE, False)
        self.retire(slot, 0xFFFFFFFF)
        self.taken[slot] = False
        self.closing[self.closing_head % self.capacity] = <uint32_t>slot
        self.closing_head += 1

    cdef int command(self, int64_t slot, uint8_t kind, bint enabled) except -1:
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot, command.enabled = kind, <uint32_t>slot, enabled
        return self.give(self.homes[slot], &command)

    def set_remote(self, uint64_t handle, object remote, object rtcp, object signalling, double window,
                   object payload_types, int telephone_event, uint32_t event_rate, uint32_t clock_rate, bint rtcp_mux):
        """What an offer or answer said about the far side."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        cdef int payload_type
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_REMOTE, <uint32_t>slot
        parse_address(&command.remote.sdp, remote)
        parse_address(&command.remote.rtcp, rtcp)
        parse_address(&command.remote.signalling, signalling)
        command.remote.window = <uint64_t>(window * SECOND)
        command.remote.telephone_event = telephone_event
        command.remote.event_rate = event_rate if event_rate else clock_rate
        command.remote.clock_rate = clock_rate
        command.remote.rtcp_mux = rtcp_mux
        if payload_types is None:
            memset(command.remote.accepted, 0xFF, 16)
        else:
            for payload_type in payload_types:
                command.remote.accepted[(payload_type & 0x7F) >> 3] |= 1 << (payload_type & 7)
        self.give(self.homes[slot], &command)

    cdef int move(self, int64_t slot, uint8_t worker) except -1:
        """Bring a port to another worker: its owner lets go, the new one waits for that and takes it."""
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot, command.other = VP_COMMAND_MOVE, <uint32_t>slot, worker
        self.give(self.homes[slot], &command)
        command.kind = VP_COMMAND_ADOPT
        self.homes[slot] = worker
        return self.give(worker, &command)

    def route(self, uint64_t source, uint64_t destination, object payload_types, int translated, uint8_t translation):
        """Forward what arrives at `source` to `destination`, payload type in → out; called for both directions. The
        octets of the type `translated` (-1: none) go from one G.711 law to the other."""
        cdef int64_t slot = self.slot_of(source), other = self.slot_of(destination)
        cdef vp_command command
        if self.homes[slot] != self.homes[other]:
            self.move(other, self.homes[slot])
        memset(&command, 0, sizeof(command))
        command.kind, command.slot, command.other = VP_COMMAND_ROUTE, <uint32_t>slot, <uint32_t>other
        memset(command.route.map, 0xFF, 128)
        if translated >= 0:
            command.route.translated, command.route.translation = translated & 0x7F, translation
        for taken, given in payload_types.items():
            if not (0 <= taken < 128 and 0 <= given < 128):
                raise ValueError(f"payload type {taken} → {given} is not in 0..127")
            command.route.map[<int>taken] = given
        self.give(self.homes[slot], &command)

    def unroute(self, uint64_t handle):
        """Both directions of the relay end."""
        self.command(self.slot_of(handle), VP_COMMAND_UNROUTE, False)

    def echo(self, uint64_t handle, bint enabled):
        """RTP back to whom it came from."""
        self.command(self.slot_of(handle), VP_COMMAND_ECHO, enabled)

    def hold(self, uint64_t handle, bint enabled):
        """Send nothing to the port and expect nothing from it."""
        self.command(self.slot_of(handle), VP_COMMAND_HOLD, enabled)

    def mute(self, uint64_t handle, bint enabled):
        """Forward nothing of what arrives at the port."""
        self.command(self.slot_of(handle), VP_COMMAND_MUTE, enabled)

    def carry(self, uint64_t handle, uint8_t what):
        """Pass on untouched what arrives, vp_carries: 1 for RTP, 2 for any datagram, 0 for neither."""
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.carries, command.slot = VP_COMMAND_CARRY, what, <uint32_t>self.slot_of(handle)
        self.give(self.homes[command.slot], &command)

    def play(self, uint64_t handle, object prompts, uint8_t payload_type, uint8_t silence, uint32_t turns,
             uint32_t start, uint16_t stop_digits, uint32_t number):
        """Send the prompts one after another, `turns` times (0: until stopped), from the next tick on."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_PLAY, <uint32_t>slot
        command.play.id, command.play.start, command.play.stop_digits = number, start, stop_digits
        command.play.payload_type, command.play.silence = payload_type & 0x7F, silence
        command.play.list = make_list(prompts, turns)
        try:
            self.give(self.homes[slot], &command)
        except BaseException:
            vp_playlist_free(command.play.list)
            raise

    def stop_play(self, uint64_t handle, uint32_t number):
        """End the playback of that number; another one goes on."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot, command.play.id = VP_COMMAND_STOP_PLAY, <uint32_t>slot, number
        self.give(self.homes[slot], &command)

    def send_keys(self, uint64_t handle, bytes keys, uint8_t payload_type, uint16_t on, uint16_t off, uint32_t number):
        """Send telephone-events, each `on` ticks long with `off` ticks after it."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        cdef int index
        if not 1 <= len(keys) <= VP_KEYS_MAX or on < 1 or on > VP_KEY_ON_MAX or off < VP_KEY_OFF_MIN:
            raise ValueError(f"{len(keys)} keys of {on} ticks with {off} between them cannot be sent")
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_KEYS, <uint32_t>slot
        command.keys.id, command.keys.on, command.keys.off = number, on, off
        command.keys.count, command.keys.payload_type = <uint8_t>len(keys), payload_type & 0x7F
        for index in range(len(keys)):
            command.keys.keys[index] = keys[index]
        self.give(self.homes[slot], &command)

    # SRTP and DTLS

    def use_srtp(self, tuple functions):
        """The addresses of libsrtp's functions, in the order of vp_srtp_library; before any `set_crypto`."""
        cdef size_t address
        cdef void **table = <void **>&self.srtp
        if len(functions) != sizeof(vp_srtp_library) // sizeof(void *) or not all(functions):
            raise ValueError("libsrtp lacks a function")
        for index, address in enumerate(functions):
            table[<int>index] = <void *>address

    def try_srtp(self, size_t sender, size_t receiver, bytes packet):
        """A packet protected and unprotected through the addresses: (sealed, opened). Raises: ValueError."""
        cdef uint8_t buffer[VP_MAX_PACKET + VP_SRTP_SLACK]
        cdef int size = <int>len(packet)
        if not self.srtp.protect or size > VP_MAX_PACKET:
            raise ValueError("no libsrtp, or too long a packet")
        memcpy(buffer, <const uint8_t *>packet, size)
        if self.srtp.protect(<void *>sender, buffer, &size):
            raise ValueError("libsrtp does not protect")
        sealed = PyBytes_FromStringAndSize(<const char *>buffer, size)
        if self.srtp.unprotect(<void *>receiver, buffer, &size):
            raise ValueError("libsrtp does not unprotect")
        return sealed, PyBytes_FromStringAndSize(<const char *>buffer, size)

    def set_crypto(self, uint64_t handle, uint8_t state, size_t sender, size_t receiver, size_t policy,
                   uint32_t ssrc, tuple mki, bint dtls, bint continues, object source, object pinned):
        """How the port seals and opens; `pinned` is what the pointers belong to, and lives as long as they are used."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        if state == VP_CRYPTO_ON and not self.srtp.protect:
            raise ValueError("no libsrtp")
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_CRYPTO, <uint32_t>slot
        command.crypto.library, command.crypto.state = &self.srtp, state
        command.crypto.send, command.crypto.receive = <void *>sender, <void *>receiver
        command.crypto.policy, command.crypto.ssrc = <const void *>policy, ssrc
        command.crypto.mki_length, command.crypto.mki_tail, command.crypto.mki_rtcp_tail = mki
        command.crypto.dtls, command.crypto.continues = dtls, continues
        parse_address(&command.crypto.source, source)
        self.crypto_version += 1
        command.crypto.version = self.crypto_version
        before = self.pinned.get(slot)
        self.pinned[slot] = (pinned, before[0] if continues and before else None)
        self.retired.append((slot, self.generations[slot], self.crypto_version, before))
        self.give(self.homes[slot], &command)
        self.reap()

    cdef int retire(self, int64_t slot, uint32_t version) except -1:
        before = self.pinned.pop(slot, None)
        if before is not None:
            self.retired.append((slot, self.generations[slot], version, before))
        return self.reap()

    cdef int reap(self) except -1:
        """Let go of what no worker uses any more."""
        cdef uint32_t slot, generation, version
        cdef list kept = []
        for entry in self.retired:
            slot, generation, version = entry[0], entry[1], entry[2]
            if self.generations[slot] != generation or vp_port_is_free(&self.ports[slot]):
                continue
            if vp_applied(&self.ports[slot]) < version:
                kept.append(entry)
        self.retired = kept
        return 0

    def crypto_contexts(self):
        """Ports with SRTP, and SRTP of the past that a worker may still use."""
        if self.workers is not NULL:
            self.reap()
        return len(self.pinned) + len(self.retired)

    def peer_ssrc(self, uint64_t handle):
        """Of the stream that arrives; 0 before the first packet."""
        return VP_READ(self.ports[self.slot_of(handle)].stream.ssrc)

    def send_flight(self, uint64_t handle, bytes data, object destination):
        """A datagram of DTLS out of the port's RTP socket."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        cdef size_t length = len(data)
        if not 0 < length <= VP_FLIGHT_MAX:
            raise ValueError(f"a flight has 1 to {VP_FLIGHT_MAX} octets, not {length}")
        if self.manual:
            self.outbox.append((handle, destination, data, False))
            return
        memset(&command, 0, sizeof(command))
        command.kind, command.slot, command.flight.length = VP_COMMAND_FLIGHT, <uint32_t>slot, <uint16_t>length
        parse_address(&command.flight.to, destination)
        command.flight.data = <uint8_t *>malloc(length)
        if command.flight.data is NULL:
            raise MemoryError
        memcpy(command.flight.data, <const uint8_t *>data, length)
        try:
            self.give(self.homes[slot], &command)
        except BaseException:
            free(command.flight.data)
            raise

    def drain_flights(self):
        """Datagrams of DTLS that wait, as (handle, data, (host, port) of the source)."""
        cdef vp_flight flight
        cdef uint32_t index
        cdef list found = []
        for index in range(self.worker_count if self.workers else 0):
            while vp_ring_pop(&self.workers[index].flights, &flight):
                data = PyBytes_FromStringAndSize(<const char *>flight.data, flight.length)
                found.append((flight.port, data, address_pair(&flight.source)))
        return found

    # Decoded audio

    def use_opus(self, tuple functions):
        """The addresses of libopus' functions, in the order of vp_opus; before any `set_audio`."""
        cdef size_t address
        cdef void **table = <void **>&self.opus
        if len(functions) != sizeof(vp_opus) // sizeof(void *) or not all(functions):
            raise ValueError("libopus lacks a function")
        for index, address in enumerate(functions):
            table[<int>index] = <void *>address
        self.libraries.opus = &self.opus

    def use_plugin(self, int kind, tuple functions):
        """The addresses of a codec's library, in the order of media/plugins.py; before any `set_audio`."""
        cdef int place = kind - VP_CODEC_PLUGINS
        if not 0 <= place < VP_PLUGINS:
            raise ValueError(f"codec {kind} is no plug-in")
        fill_plugin(&self.plugins[place], kind, functions)
        self.libraries.plugins[place] = &self.plugins[place]

    def set_audio(self, uint64_t handle, uint32_t rate, object receive, object told, object send, bint encodes,
                  int16_t noise):
        """Give the port decoded audio, or another one; formats are (kind, payload type, clock rate, rate, ptime in ms).

        Raises: ValueError, CodecMissingError.
        """
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_format heard[VP_FORMATS]
        cdef vp_format said[VP_FORMATS]
        cdef vp_format sent
        cdef vp_audio_plan plan
        cdef vp_command command
        if rate not in (8000, 16000, 48000):
            raise ValueError(f"{rate} samples a second: frames have 8000, 16000 or 48000")
        memset(&plan, 0, sizeof(plan))
        plan.rate, plan.encodes, plan.receive, plan.told = rate, encodes, heard, said
        if not -1 <= noise < 128:
            raise ValueError(f"payload type {noise} of comfort noise")
        plan.noise = noise
        plan.receive_count = fill_formats(heard, receive, &self.libraries)
        plan.told_count = fill_formats(said, told, &self.libraries)
        if send is not None:
            fill_formats(&sent, [send], &self.libraries)
            plan.send = &sent
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_AUDIO, <uint32_t>slot
        command.audio = vp_audio_new(&plan)
        if command.audio is NULL:
            raise CodecMissingError("no memory or no library for the codecs of the call")
        try:
            self.give(self.homes[slot], &command)
        except BaseException:
            vp_audio_free(command.audio)
            raise

    def mix(self, uint64_t handle, Room room, int32_t gain, bint muted):
        """The port, which has audio of the room's rate, is in this room, or in none."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_MIX, <uint32_t>slot
        if room is not None:
            if not 0 <= gain <= VP_GAIN_MAX:
                raise ValueError(f"a gain of {gain}/{VP_GAIN_ONE} is above {VP_GAIN_MAX}")
            if not 0 <= room.worker < <int>self.worker_count:
                raise ValueError(f"no worker {room.worker}")
            if self.homes[slot] != room.worker:
                self.move(slot, <uint8_t>room.worker)
            vp_mixer_hold(room.mixer)
            command.mix.mixer, command.mix.gain, command.mix.muted = room.mixer, gain, muted
        try:
            self.give(self.homes[slot], &command)
        except BaseException:
            vp_mixer_release(command.mix.mixer)
            raise

    def announce(self, uint64_t handle, const int16_t[::1] samples):
        """Samples of the room's rate to everybody in the room that this port is in."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        if not 0 < samples.shape[0] <= 1 << 27:
            raise ValueError(f"{samples.shape[0]} samples are no announcement")
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_ANNOUNCE, <uint32_t>slot
        command.notice = vp_notice_new(&samples[0], <uint32_t>samples.shape[0])
        if command.notice is NULL:
            raise MemoryError
        try:
            self.give(self.homes[slot], &command)
        except BaseException:
            vp_notice_release(command.notice)
            raise

    def drop_audio(self, uint64_t handle):
        """The port is relayed only, from now on; sinks and source are let go."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_AUDIO, <uint32_t>slot
        self.give(self.homes[slot], &command)

    def attach_key_tones(self, uint64_t handle, uint32_t number):
        """Report keys that are heard as tones; the port must have decoded audio."""
        cdef vp_sink *sink = vp_keytone_new(number)
        if sink is NULL:
            raise MemoryError
        self.attach_sink(handle, <uintptr_t>sink)

    def attach_sink(self, uint64_t handle, uintptr_t sink):
        """Give the port's samples to `media._tape.Tape.sink()`; without decoded audio it is let go of at once."""
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.sink = VP_COMMAND_SINK, <vp_sink *>sink
        try:
            command.slot = <uint32_t>self.slot_of(handle)
            self.give(self.homes[command.slot], &command)
        except BaseException:
            command.sink.release(command.sink)
            raise

    def attach_source(self, uint64_t handle, uintptr_t source):
        """Let the port say what `media._tape.Speech.source()` gives; one that was there is let go of."""
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.source = VP_COMMAND_SOURCE, <vp_source *>source
        try:
            command.slot = <uint32_t>self.slot_of(handle)
            self.give(self.homes[command.slot], &command)
        except BaseException:
            command.source.release(command.source)
            raise

    def detach(self, uint64_t handle, uint32_t number, bint is_source):
        """Let go of the sink or source with that number; when it is gone already nothing happens."""
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind = VP_COMMAND_UNSOURCE if is_source else VP_COMMAND_UNSINK
        command.slot, command.attachment = <uint32_t>self.slot_of(handle), number
        self.give(self.homes[command.slot], &command)

    def audio_stats(self, uint64_t handle):
        """(heard, said, packets encoded): each of the first two in the order of media.stats.IntakeStats."""
        cdef vp_port *port = &self.ports[self.slot_of(handle)]
        return (intake_counts(&port.audio_counters.heard), intake_counts(&port.audio_counters.said),
                VP_READ(port.audio_counters.encoded))

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
        cdef vp_port *out = vp_carry_receive(port, context, packet, &length, source, &rtcp)
        if out is NULL:
            return 0
        if not rtcp:
            return self.send(out, vp_latch_destination(&out.latch), packet, length, False)
        if vp_port_rtcp_destination(out, &to):
            self.send(out, &to, packet, length, True)
        return 0

    cdef int send(self, vp_port *port, const vp_address *to, const uint8_t *packet, size_t length, bint rtcp) except -1:
        cdef uint8_t sealed[VP_MAX_PACKET + VP_SRTP_SLACK]
        cdef const uint8_t *data_of = vp_srtp_seal(&port.srtp, sealed, packet, &length, rtcp)
        if data_of is NULL:
            vp_count_drop(port, VP_DROP_SRTP_SEND)
            return 0
        data = PyBytes_FromStringAndSize(<const char *>data_of, length)
        rtcp = rtcp and not port.rtcp_mux
        self.outbox.append((port.id, address_pair(to), data, rtcp))
        return 0

    cdef int take_report(self, vp_port *port, bint last) except -1:
        cdef uint8_t buffer[VP_RTCP_MAX]
        cdef vp_address to
        cdef size_t length
        cdef vp_context *context = &self.workers[self.homes[port.id & (MAX_SLOTS - 1)]].context
        if last:
            length = vp_port_last_report(port, context, buffer, &to)
        else:
            length = vp_port_due_report(port, context, buffer, &to)
        if length:
            self.send(port, &to, buffer, length, True)
        return 0

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
            while length:
                self.send(port, vp_latch_destination(&port.latch), packet, length, False)
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
