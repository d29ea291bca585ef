"""Where Python and the rings of samples meet: tapes that a recorder or a tap reads, speech that a program writes."""

from libc.stdint cimport int16_t, uint32_t, uint64_t, uintptr_t

from tape cimport *

STEREO = VP_TAPE_STEREO
MIXED = VP_TAPE_MIXED
HEARD = VP_TAPE_HEARD
SAID = VP_TAPE_SAID


cdef class Tape:
    """Frames of 20 ms of one port. One thread reads."""

    cdef vp_tape *tape  # one reference is ours, released in __dealloc__
    cdef uint64_t expected

    def __cinit__(self, uint32_t number, uint32_t rate, int kind, uint32_t frames, bint overwrites):
        if rate not in (8000, 16000, 48000) or not 0 <= kind <= 3 or not 2 <= frames <= 1 << 16 or frames & (frames - 1):
            raise ValueError(f"no tape of {frames} frames of kind {kind} at {rate} Hz")
        self.tape = vp_tape_new(number, rate, <vp_tape_kind>kind, frames, overwrites)
        if self.tape is NULL:
            raise MemoryError

    def __dealloc__(self):
        vp_tape_release(self.tape)

    def sink(self):
        """An address with a reference of its own, for `Core.attach_sink`, which takes it in any case."""
        return <uintptr_t>vp_tape_sink(self.tape)

    @property
    def samples(self):
        """Of all channels, in one frame."""
        return self.tape.samples * self.tape.channels

    @property
    def waiting(self):
        """Frames that can be read."""
        return vp_tape_waiting(self.tape)

    @property
    def lost(self):
        """Frames that found the ring full, or were overwritten."""
        return vp_read64(self.tape.lost)

    @property
    def ended(self):
        """The port has let go of it: when nothing waits, nothing will come."""
        return vp_read8(self.tape.detached) != 0

    def pause(self, bint paused):
        """Silence is written meanwhile."""
        vp_set8(self.tape.paused, paused)

    def read(self, int16_t[::1] samples):
        """As many frames as there are and have room: (how many, number of the first one's tick, frames missing before it).

        Where frames are missing behind the first, it ends.
        """
        cdef uint64_t gap = 0
        cdef uint32_t count
        cdef uint32_t most = <uint32_t>(samples.shape[0] // (self.tape.samples * self.tape.channels))
        if not most:
            return 0, 0, 0
        with nogil:
            count = vp_tape_read(self.tape, &samples[0], most, &self.expected, &gap)
        return count, self.expected - count, gap


cdef class Speech:
    """Samples that a port says. One thread writes."""

    cdef vp_speech *speech  # one reference is ours, released in __dealloc__

    def __cinit__(self, uint32_t number, uint32_t rate, uint32_t capacity, uint32_t lead):
        if rate not in (8000, 16000, 48000) or not 2 <= capacity <= 1 << 22 or capacity & (capacity - 1):
            raise ValueError(f"no ring of {capacity} samples at {rate} Hz")
        self.speech = vp_speech_new(number, rate, capacity, lead)
        if self.speech is NULL:
            raise MemoryError

    def __dealloc__(self):
        vp_speech_release(self.speech)

    def source(self):
        """An address with a reference of its own, for `Core.attach_source`, which takes it in any case."""
        return <uintptr_t>vp_speech_source(self.speech)

    @property
    def written(self):
        """Samples written since the start."""
        return vp_read64(self.speech.written)

    @property
    def played(self):
        """Samples that were said, or flushed."""
        return vp_read64(self.speech.played)

    @property
    def starved(self):
        """Times that it ran dry before it was finished."""
        return vp_read32(self.speech.starved)

    @property
    def ended(self):
        """The port has let go of it."""
        return vp_read8(self.speech.detached) != 0

    def write(self, const int16_t[::1] samples):
        """How many of the samples found room."""
        if not samples.shape[0]:
            return 0
        return vp_speech_write(self.speech, &samples[0], <uint32_t>samples.shape[0])

    def flush(self):
        """What was written until now is not said any more."""
        vp_speech_flush(self.speech)

    def finish(self, bint finished):
        """Whether no more will come: then what is there is said without waiting for more."""
        vp_set8(self.speech.finished, finished)
