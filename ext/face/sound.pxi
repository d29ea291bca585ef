# What is commanded of a port whose audio is decoded: who hears it, what it says.


cdef class _Sound(_Line):
    """Verbs of samples."""

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

    def worker_of(self, uint64_t handle):
        """Where the port is, as far as commands were given."""
        return self.homes[self.slot_of(handle)]

    def mix(self, uint64_t handle, Room room, int32_t gain, bint muted, bint told, int aside, int confided):
        """The port, which has audio of the room's rate, is in this room, or in none."""
        cdef int64_t slot = self.slot_of(handle)
        cdef vp_command command
        memset(&command, 0, sizeof(command))
        command.kind, command.slot = VP_COMMAND_MIX, <uint32_t>slot
        if room is not None:
            if not 0 <= gain <= VP_GAIN_MAX:
                raise ValueError(f"a gain of {gain}/{VP_GAIN_ONE} is above {VP_GAIN_MAX}")
            if not (0 <= aside <= VP_ASIDES and 0 <= confided <= VP_ASIDES):
                raise ValueError(f"a room has asides 1 to {VP_ASIDES}, not {aside} and {confided}")
            if not 0 <= room.worker < <int>self.worker_count:
                raise ValueError(f"no worker {room.worker}")
            if self.homes[slot] != room.worker:
                self.move(slot, <uint8_t>room.worker)
            vp_mixer_hold(room.mixer)
            command.mix.mixer, command.mix.gain, command.mix.muted = room.mixer, gain, muted
            command.mix.told, command.mix.aside, command.mix.confided = told, <uint8_t>aside, <uint8_t>confided
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
        if not vp_port_is_opened(port, handle):
            return (0,) * 11, (0,) * 11, 0
        return (intake_counts(&port.audio_counters.heard), intake_counts(&port.audio_counters.said),
                VP_READ(port.audio_counters.encoded))
