# The memory of the engine, its threads, and ports from their opening to their closing.


cdef class _Table:
    """The engine's memory: the table of ports, the workers, their rings."""

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
        pthread_setname_np(pthread_self(), b"voipat-media")  # what top(1) and `voipat capacity` call it
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

    # What its SRTP uses, until no worker does

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

    # What leaves on the manual clock

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
