/* Codecs as the audio path uses them: one decoder or encoder per payload type, samples of its own rate on one side.
 *
 * States are made and freed outside of the tick, by the thread of the verbs; a decoder takes any bytes and answers with
 * samples or -1.
 */
#ifndef VP_CODEC_H
#define VP_CODEC_H

#include "bytes.h"
#include "g711.h"
#include "pcm.h"

enum {
    VP_PACKET_MS_MAX = 120, /* of audio in one packet: what Opus may have, and more than others send */
    VP_PACKET_SAMPLES = VP_PCM_RATE_MAX * VP_PACKET_MS_MAX / 1000,
    VP_PAYLOAD_MAX = 1960, /* octets of one packet: 20 ms of L16 at 48 kHz, and any Opus packet (1275) */
};

/* The names for Python are in media/codecs.py, in this order. */
typedef enum { VP_CODEC_PCMU, VP_CODEC_PCMA, VP_CODEC_L16, VP_CODECS } vp_codec_kind;

typedef struct {
    uint8_t kind; /* vp_codec_kind */
    uint8_t payload_type;
    uint16_t ptime_ms;   /* of what is sent */
    uint32_t clock_rate; /* of RTP timestamps */
    uint32_t rate;       /* of the samples it takes and gives */
} vp_format;

typedef struct {
    vp_format format;
} vp_decoder;

typedef struct {
    vp_format format;
} vp_encoder;

static inline int vp_decoder_init(vp_decoder *decoder, const vp_format *format) {
    decoder->format = *format;
    return 0;
}

static inline void vp_decoder_free(vp_decoder *decoder) { (void)decoder; }

static inline int vp_encoder_init(vp_encoder *encoder, const vp_format *format) {
    encoder->format = *format;
    return 0;
}

static inline void vp_encoder_free(vp_encoder *encoder) { (void)encoder; }

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
    default:
        return -1;
    }
}

/* The octets of `count` samples, at most VP_PAYLOAD_MAX; -1 when they cannot be encoded. */
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
    default:
        return -1;
    }
}

#endif
