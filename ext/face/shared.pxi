# What the verbs of the engine take: addresses, prompts, rooms, formats.


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

    def __cinit__(self, uint32_t rate, int worker, bint open):
        if rate not in (8000, 16000, 48000):
            raise ValueError(f"{rate} samples a second: a room has 8000, 16000 or 48000")
        self.mixer = vp_mixer_new(rate, open)
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
        formats[count].settings.music, formats[count].settings.cbr = settings[5], settings[6]
        formats[count].settings.bitrate_max, formats[count].settings.playback_rate = settings[7], settings[8]
        count += 1
    return count


cdef tuple intake_counts(const vp_intake_counters *counters):
    return (VP_READ(counters.decoded), VP_READ(counters.late), VP_READ(counters.duplicate), VP_READ(counters.overflow),
            VP_READ(counters.garbage), VP_READ(counters.concealed), VP_READ(counters.recovered),
            VP_READ(counters.starved), VP_READ(counters.stretched), VP_READ(counters.delay_ms), VP_READ(counters.target_ms))
