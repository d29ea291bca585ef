/* Codecs as the audio path uses them: one decoder or encoder per payload type, samples of its own rate on one side.
 *
 * States are made and freed outside of the tick, by the thread of the verbs; a decoder takes any bytes and answers with
 * samples or -1.
 */
#ifndef VP_CODEC_H
#define VP_CODEC_H

#include "bytes.h"
#include "g711.h"
#include "g722.h"
#include "g729.h"
#include "opus.h"
#include "pcm.h"

enum {
    VP_PACKET_MS_MAX = 120, /* of audio in one packet: what Opus may have, and more than others send */
    VP_PACKET_SAMPLES = VP_PCM_RATE_MAX * VP_PACKET_MS_MAX / 1000,
    VP_PAYLOAD_MAX = 1960, /* octets of one packet: 20 ms of L16 at 48 kHz, and any Opus packet (1275) */
};

/* The names for Python are in media/codecs.py, in this order. CN is comfort noise (RFC 3389): a level and no samples. From
 * VP_CODEC_PLUGINS on they are those of plug-ins. */
typedef enum {
    VP_CODEC_PCMU, VP_CODEC_PCMA, VP_CODEC_L16, VP_CODEC_G722, VP_CODEC_OPUS, VP_CODEC_CN, VP_CODEC_G729, VP_CODECS,
    VP_CODEC_PLUGINS = VP_CODEC_G729
} vp_codec_kind;

enum { VP_PLUGINS = VP_CODECS - VP_CODEC_PLUGINS };

typedef struct {
    uint8_t kind; /* vp_codec_kind */
    uint8_t payload_type;
    uint16_t ptime_ms;   /* of what is sent */
    uint32_t clock_rate; /* of RTP timestamps */
    uint32_t rate;       /* of the samples it takes and gives */
    const vp_opus *opus; /* outlives the codec; NULL: there is no Opus */
    const vp_plugin *plugin; /* likewise, of this kind */
    vp_opus_settings settings;
} vp_format;

static inline bool vp_format_same(const vp_format *one, const vp_format *other) {
    return one->kind == other->kind && one->payload_type == other->payload_type && one->ptime_ms == other->ptime_ms
        && one->clock_rate == other->clock_rate && one->rate == other->rate
        && (one->kind != VP_CODEC_OPUS || vp_opus_same(&one->settings, &other->settings));
}

typedef struct {
    vp_format format;
    void *state; /* owned: vp_g722, or what a library made */
} vp_decoder;

typedef struct {
    vp_format format;
    void *state; /* likewise */
} vp_encoder;

static inline void *vp_g722_new(void) {
    vp_g722 *state = malloc(sizeof *state);
    if (state)
        vp_g722_init(state);
    return state;
}

/* The plug-in of a kind, but for the functions of its library. */
static inline const vp_plugin *vp_plugin_of(int kind) { return kind == VP_CODEC_G729 ? &vp_g729 : NULL; }

static inline bool vp_codec_has_state(const vp_format *format) {
    return format->kind == VP_CODEC_G722 || format->kind == VP_CODEC_OPUS || format->kind >= VP_CODEC_PLUGINS;
}

/* 0, or -1 when memory is short or there is no library. */
static inline int vp_decoder_init(vp_decoder *decoder, const vp_format *format) {
    decoder->format = *format;
    decoder->state = NULL;
    if (format->kind == VP_CODEC_G722)
        decoder->state = vp_g722_new();
    else if (format->kind == VP_CODEC_OPUS && format->opus)
        decoder->state = vp_opus_decoder(format->opus, format->rate);
    else if (format->kind >= VP_CODEC_PLUGINS && format->plugin)
        decoder->state = format->plugin->decoder_new(format->plugin);
    return decoder->state || !vp_codec_has_state(format) ? 0 : -1;
}

static inline void vp_decoder_free(vp_decoder *decoder) {
    const vp_format *format = &decoder->format;
    if (format->kind == VP_CODEC_OPUS && decoder->state)
        format->opus->decoder_destroy(decoder->state);
    else if (format->kind >= VP_CODEC_PLUGINS && decoder->state)
        format->plugin->decoder_free(format->plugin, decoder->state);
    else
        free(decoder->state);
    decoder->state = NULL;
}

static inline int vp_encoder_init(vp_encoder *encoder, const vp_format *format) {
    encoder->format = *format;
    encoder->state = NULL;
    if (format->kind == VP_CODEC_CN)
        return -1;
    if (format->kind == VP_CODEC_G722)
        encoder->state = vp_g722_new();
    else if (format->kind == VP_CODEC_OPUS && format->opus)
        encoder->state = vp_opus_encoder(format->opus, format->rate, &format->settings);
    else if (format->kind >= VP_CODEC_PLUGINS && format->plugin)
        encoder->state = format->plugin->encoder_new(format->plugin);
    return encoder->state || !vp_codec_has_state(format) ? 0 : -1;
}

static inline void vp_encoder_free(vp_encoder *encoder) {
    const vp_format *format = &encoder->format;
    if (format->kind == VP_CODEC_OPUS && encoder->state)
        format->opus->encoder_destroy(encoder->state);
    else if (format->kind >= VP_CODEC_PLUGINS && encoder->state)
        format->plugin->encoder_free(format->plugin, encoder->state);
    else
        free(encoder->state);
    encoder->state = NULL;
}

/* What the library of a codec makes of a missing packet: Opus from the redundancy of the one after it, when that is there
 * (`length` > 0), else by concealment of its own. -1 for every codec of ours. */
static inline int vp_decode_lost(
    vp_decoder *decoder, const uint8_t *next, uint32_t length, int16_t *samples, uint32_t count
) {
    const vp_format *format = &decoder->format;
    if (count == 0 || count > VP_PACKET_SAMPLES)
        return -1;
    if (format->kind >= VP_CODEC_PLUGINS)
        return vp_plugin_conceal(format->plugin, decoder->state, samples, count);
    if (format->kind != VP_CODEC_OPUS)
        return -1;
    return format->opus->decode(decoder->state, length ? next : NULL, (int32_t)length, samples, (int)count, length != 0);
}

/* The samples of one packet, at most VP_PACKET_SAMPLES; -1 when it is none of this codec. */
static inline int vp_decode(vp_decoder *decoder, const uint8_t *payload, uint32_t length, int16_t *samples) {
    uint32_t most = decoder->format.rate * VP_PACKET_MS_MAX / 1000;
    switch (decoder->format.kind) {
    case VP_CODEC_PCMU:
    case VP_CODEC_PCMA:
        if (length == 0 || length > most)
            return -1;
        if (decoder->format.kind == VP_CODEC_PCMU)
            vp_ulaw_decode_all(payload, samples, length);
        else
            vp_alaw_decode_all(payload, samples, length);
        return (int)length;
    case VP_CODEC_L16:
        if (length < 2 || length / 2 > most)
            return -1;
        for (uint32_t i = 0; i < length / 2; i++)
            samples[i] = (int16_t)vp_get16(payload + 2 * i);
        return (int)(length / 2);
    case VP_CODEC_G722:
        if (length == 0 || 2 * length > most)
            return -1;
        vp_g722_decode(decoder->state, payload, length, samples);
        return (int)(2 * length);
    case VP_CODEC_OPUS:
        return length ? decoder->format.opus->decode(decoder->state, payload, (int32_t)length, samples, (int)most, 0) : -1;
    case VP_CODEC_G729:
        return vp_plugin_decode(decoder->format.plugin, decoder->state, payload, length, samples, most);
    default:
        return -1;
    }
}

/* The octets of `count` samples, at most VP_PAYLOAD_MAX; 0 when silence needs none, -1 when they cannot be encoded. */
static inline int vp_encode(vp_encoder *encoder, const int16_t *samples, uint32_t count, uint8_t *payload) {
    switch (encoder->format.kind) {
    case VP_CODEC_PCMU:
    case VP_CODEC_PCMA:
        if (count > VP_PAYLOAD_MAX)
            return -1;
        if (encoder->format.kind == VP_CODEC_PCMU)
            vp_ulaw_encode_all(samples, payload, count);
        else
            vp_alaw_encode_all(samples, payload, count);
        return (int)count;
    case VP_CODEC_L16:
        if (count > VP_PAYLOAD_MAX / 2)
            return -1;
        for (uint32_t i = 0; i < count; i++)
            vp_put16(payload + 2 * i, (uint16_t)samples[i]);
        return (int)(2 * count);
    case VP_CODEC_G722:
        if (count / 2 > VP_PAYLOAD_MAX)
            return -1;
        vp_g722_encode(encoder->state, samples, count, payload);
        return (int)(count / 2);
    case VP_CODEC_OPUS: { /* one or two octets: nothing has to be sent (DTX) */
        int length = encoder->format.opus->encode(encoder->state, samples, (int)count, payload, VP_OPUS_PACKET_MAX);
        return length > 2 ? length : length > 0 ? 0 : -1;
    }
    case VP_CODEC_G729:
        return vp_plugin_encode(encoder->format.plugin, encoder->state, samples, count, payload, VP_PAYLOAD_MAX);
    default:
        return -1;
    }
}

#endif
