# Foreign declarations of the signal kernels; no code. Everything here runs without the GIL.
from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t


cdef extern from "g711.h" nogil:
    void vp_ulaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count)
    void vp_ulaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count)
    void vp_alaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count)
    void vp_alaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count)


cdef extern from "pcm.h" nogil:
    bint vp_pcm_rate_known(uint32_t rate)


cdef extern from "opus.h" nogil:
    ctypedef struct vp_opus:
        pass
    ctypedef struct vp_opus_settings:
        uint32_t bitrate
        uint8_t complexity
        uint8_t loss_percent
        bint fec
        bint dtx


cdef extern from "plugin.h" nogil:
    enum: VP_PLUGIN_FUNCTIONS
    ctypedef struct vp_plugin:
        void *functions[VP_PLUGIN_FUNCTIONS]


cdef extern from "codec.h" nogil:
    enum:
        VP_CODECS
        VP_CODEC_OPUS
        VP_CODEC_PLUGINS
        VP_PLUGINS
        VP_PACKET_SAMPLES
        VP_PAYLOAD_MAX
    ctypedef struct vp_format:
        uint8_t kind
        uint16_t ptime_ms
        uint32_t clock_rate
        uint32_t rate
        const vp_opus *opus
        const vp_plugin *plugin
        vp_opus_settings settings
    const vp_plugin *vp_plugin_of(int kind)
    ctypedef struct vp_decoder:
        pass
    ctypedef struct vp_encoder:
        pass
    int vp_decoder_init(vp_decoder *decoder, const vp_format *format)
    void vp_decoder_free(vp_decoder *decoder)
    int vp_encoder_init(vp_encoder *encoder, const vp_format *format)
    void vp_encoder_free(vp_encoder *encoder)
    int vp_decode(vp_decoder *decoder, const uint8_t *payload, uint32_t length, int16_t *samples)
    int vp_encode(vp_encoder *encoder, const int16_t *samples, uint32_t count, uint8_t *payload)


cdef extern from "resample.h" nogil:
    enum: VP_RESAMPLE_MAX_IN
    ctypedef struct vp_resampler:
        pass
    int vp_resampler_init(vp_resampler *resampler, uint32_t rate, uint32_t wanted)
    void vp_resampler_free(vp_resampler *resampler)
    uint32_t vp_resample(vp_resampler *resampler, const int16_t *samples, uint32_t count, int16_t *out)
