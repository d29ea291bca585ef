# What is commanded of an open port: whom it talks with, what it plays, its keys.


cdef class _Line(_Table):
    """Verbs of packets."""

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

    def crypto_contexts(self):
        """Ports with SRTP, and SRTP of the past that a worker may still use."""
        if self.workers is not NULL:
            self.reap()
        return len(self.pinned) + len(self.retired)

    def peer_ssrc(self, uint64_t handle):
        """Of the stream that arrives; 0 before the first packet."""
        cdef vp_port *port = &self.ports[self.slot_of(handle)]
        return VP_READ(port.stream.ssrc) if vp_port_is_opened(port, handle) else 0

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
