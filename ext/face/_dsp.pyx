"""Where Python and the signal kernels meet: whole buffers at load time, outside of the tick. No algorithm is here."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t, uint32_t
from libc.string cimport memset

from dsp cimport *

from media.errors import CodecMissingError


def ulaw_encode(const int16_t[::1] samples):
    """The G.711 µ-law code of each 16-bit sample."""
    cdef bytes codes = PyBytes_FromStringAndSize(NULL, samples.shape[0])
    cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(codes)
    if samples.shape[0]:
        with nogil:
            vp_ulaw_encode_all(&samples[0], target, samples.shape[0])
    return codes


def ulaw_decode(const uint8_t[::1] codes):
    """The 16-bit sample of each G.711 µ-law code, in the machine's byte order."""
    cdef bytes samples = PyBytes_FromStringAndSize(NULL, 2 * codes.shape[0])
    cdef int16_t *target = <int16_t *>PyBytes_AS_STRING(samples)
    if codes.shape[0]:
        with nogil:
            vp_ulaw_decode_all(&codes[0], target, codes.shape[0])
    return samples


def alaw_encode(const int16_t[::1] samples):
    """The G.711 A-law code of each 16-bit sample."""
    cdef bytes codes = PyBytes_FromStringAndSize(NULL, samples.shape[0])
    cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(codes)
    if samples.shape[0]:
        with nogil:
            vp_alaw_encode_all(&samples[0], target, samples.shape[0])
    return codes


def alaw_decode(const uint8_t[::1] codes):
    """The 16-bit sample of each G.711 A-law code, in the machine's byte order."""
    cdef bytes samples = PyBytes_FromStringAndSize(NULL, 2 * codes.shape[0])
    cdef int16_t *target = <int16_t *>PyBytes_AS_STRING(samples)
    if codes.shape[0]:
        with nogil:
            vp_alaw_decode_all(&codes[0], target, codes.shape[0])
    return samples


cdef struct Library:
    vp_opus opus
    vp_plugin plugin


cdef int describe(vp_format *form, Library *library, int kind, uint32_t rate, tuple functions, tuple settings) except -1:
    """`functions` are the addresses of the codec's library, where it has one; () when there is none."""
    cdef size_t address
    cdef void **table = <void **>&library.opus
    cdef int places = sizeof(vp_opus) // sizeof(void *)
    if not 0 <= kind < VP_CODECS or not vp_pcm_rate_known(rate):
        raise ValueError(f"codec {kind} at {rate} samples a second")
    if kind >= VP_CODEC_PLUGINS:
        library.plugin = vp_plugin_of(kind)[0]
        table, places = library.plugin.functions, VP_PLUGIN_FUNCTIONS
        form.plugin = &library.plugin if functions else NULL
    else:
        form.opus = &library.opus if functions else NULL
    if len(functions) > places:
        raise ValueError(f"{len(functions)} functions of a library that has {places}")
    for index, address in enumerate(functions):
        table[<int>index] = <void *>address
    form.kind, form.rate, form.clock_rate, form.ptime_ms = <uint8_t>kind, rate, rate, 20
    form.settings.bitrate, form.settings.complexity, form.settings.loss_percent = settings[0], settings[1], settings[2]
    form.settings.fec, form.settings.dtx = settings[3], settings[4]
    return 0


cdef class Encoder:
    """One stream of a codec: samples in, the payloads of packets out. Not for two threads at once."""

    cdef vp_encoder encoder  # freed in __dealloc__ when `made`
    cdef Library library
    cdef bint made

    def __cinit__(self, int kind, uint32_t rate, tuple functions=(), tuple settings=(0, 5, 0, False, False)):
        cdef vp_format form
        memset(&form, 0, sizeof(form))
        describe(&form, &self.library, kind, rate, functions, settings)
        if vp_encoder_init(&self.encoder, &form) != 0:
            raise CodecMissingError(f"codec {kind} cannot be encoded")
        self.made = True

    def __dealloc__(self):
        if self.made:
            vp_encoder_free(&self.encoder)

    def encode(self, const int16_t[::1] samples):
        """The payload for these samples; empty when silence needs none. Raises: ValueError."""
        cdef uint8_t payload[VP_PAYLOAD_MAX]
        cdef int length = -1
        if 0 < samples.shape[0] <= VP_PACKET_SAMPLES:
            with nogil:
                length = vp_encode(&self.encoder, &samples[0], <uint32_t>samples.shape[0], payload)
        if length < 0:
            raise ValueError(f"{samples.shape[0]} samples cannot be encoded")
        return PyBytes_FromStringAndSize(<const char *>payload, length)


cdef class Decoder:
    """The other way: payloads in, samples out in the machine's byte order."""

    cdef vp_decoder decoder  # freed in __dealloc__ when `made`
    cdef Library library
    cdef bint made

    def __cinit__(self, int kind, uint32_t rate, tuple functions=()):
        cdef vp_format form
        memset(&form, 0, sizeof(form))
        describe(&form, &self.library, kind, rate, functions, (0, 0, 0, False, False))
        if vp_decoder_init(&self.decoder, &form) != 0:
            raise CodecMissingError(f"codec {kind} cannot be decoded")
        self.made = True

    def __dealloc__(self):
        if self.made:
            vp_decoder_free(&self.decoder)

    def decode(self, bytes payload):
        """The samples of one packet; None when it is none of this codec."""
        cdef int16_t samples[VP_PACKET_SAMPLES]
        cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(payload)
        cdef uint32_t length = <uint32_t>len(payload)
        cdef int count
        with nogil:
            count = vp_decode(&self.decoder, octets, length, samples)
        return None if count < 0 else PyBytes_FromStringAndSize(<const char *>samples, 2 * count)


cdef class Resampler:
    """From one rate to another, frame by frame."""

    cdef vp_resampler resampler  # freed in __dealloc__

    def __cinit__(self, uint32_t rate, uint32_t wanted):
        if not vp_pcm_rate_known(rate) or not vp_pcm_rate_known(wanted):
            raise ValueError(f"{rate} to {wanted} samples a second")
        if vp_resampler_init(&self.resampler, rate, wanted) != 0:
            raise MemoryError

    def __dealloc__(self):
        vp_resampler_free(&self.resampler)

    def resample(self, const int16_t[::1] samples):
        """What these samples make, in the machine's byte order. Raises: ValueError."""
        cdef int16_t made[6 * VP_RESAMPLE_MAX_IN + 1]
        cdef uint32_t count
        if not 0 < samples.shape[0] <= VP_RESAMPLE_MAX_IN:
            raise ValueError(f"{samples.shape[0]} samples at once")
        with nogil:
            count = vp_resample(&self.resampler, &samples[0], <uint32_t>samples.shape[0], made)
        return PyBytes_FromStringAndSize(<const char *>made, 2 * count)
