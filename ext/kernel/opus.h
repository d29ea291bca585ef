/* Opus (RFC 6716, RTP by RFC 7587) by the functions of a libopus that was found at run time: none of its headers, none
 * of it linked. The control functions are variadic, and are called so: on arm64 the two conventions differ.
 */
#ifndef VP_OPUS_H
#define VP_OPUS_H

#include "pcm.h"

/* The addresses, in the order of media/opus.py. */
typedef struct {
    void *(*encoder_create)(int32_t rate, int channels, int application, int *error);
    void (*encoder_destroy)(void *encoder);
    int32_t (*encode)(void *encoder, const int16_t *samples, int count, unsigned char *packet, int32_t most);
    int (*encoder_ctl)(void *encoder, int request, ...);
    void *(*decoder_create)(int32_t rate, int channels, int *error);
    void (*decoder_destroy)(void *decoder);
    int (*decode)(void *decoder, const unsigned char *packet, int32_t length, int16_t *samples, int most, int fec);
} vp_opus;

enum {
    VP_OPUS_VOIP = 2048,
    VP_OPUS_AUDIO = 2049,
    VP_OPUS_SET_BITRATE = 4002,
    VP_OPUS_SET_MAX_BANDWIDTH = 4004,
    VP_OPUS_SET_VBR = 4006,
    VP_OPUS_SET_COMPLEXITY = 4010,
    VP_OPUS_SET_FEC = 4012,
    VP_OPUS_SET_LOSS = 4014,
    VP_OPUS_SET_DTX = 4016,
    VP_OPUS_PACKET_MAX = 1275,
    VP_OPUS_NARROWBAND = 1101, /* and each wider one, to FULLBAND */
    VP_OPUS_FULLBAND = 1105,
};

/* How to encode; all zero is libopus' own choice of bit rate at complexity 0. */
typedef struct {
    uint32_t bitrate;       /* bits a second; 0: chosen by libopus */
    uint32_t bitrate_max;   /* the far side's maxaveragebitrate; 0: none */
    uint32_t playback_rate; /* its maxplaybackrate: more than that is not heard there; 0: none */
    uint8_t complexity, loss_percent;
    bool fec, dtx;
    bool music; /* not tuned for speech */
    bool cbr;   /* each packet as long as the other: lengths tell what is said (RFC 6562) */
} vp_opus_settings;

/* Whether what one encodes is what the other would. */
static inline bool vp_opus_same(const vp_opus_settings *one, const vp_opus_settings *other) {
    return one->bitrate == other->bitrate && one->bitrate_max == other->bitrate_max
        && one->playback_rate == other->playback_rate && one->complexity == other->complexity
        && one->loss_percent == other->loss_percent && one->fec == other->fec && one->dtx == other->dtx
        && one->music == other->music && one->cbr == other->cbr;
}

/* 0: libopus may choose, which it does as rate + 3000 for one channel and packets of 20 ms. */
static inline uint32_t vp_opus_bitrate(uint32_t rate, const vp_opus_settings *settings) {
    uint32_t own = settings->bitrate ? settings->bitrate : rate + 3000;
    return settings->bitrate_max && settings->bitrate_max < own ? settings->bitrate_max : settings->bitrate;
}

/* The widest band that a far side plays which takes so many samples a second. */
static inline int vp_opus_bandwidth(uint32_t playback_rate) {
    static const uint32_t rates[VP_OPUS_FULLBAND - VP_OPUS_NARROWBAND] = {8000, 12000, 16000, 24000};
    int band = VP_OPUS_NARROWBAND;
    while (band < VP_OPUS_FULLBAND && playback_rate > rates[band - VP_OPUS_NARROWBAND])
        band++;
    return band;
}

/* NULL when memory is short or the rate is none of Opus. */
static inline void *vp_opus_encoder(const vp_opus *opus, uint32_t rate, const vp_opus_settings *settings) {
    int error = 0;
    void *encoder = opus->encoder_create((int32_t)rate, 1, settings->music ? VP_OPUS_AUDIO : VP_OPUS_VOIP, &error);
    if (!encoder || error)
        return NULL;
    uint32_t bitrate = vp_opus_bitrate(rate, settings);
    if (bitrate)
        opus->encoder_ctl(encoder, VP_OPUS_SET_BITRATE, (int)bitrate);
    if (settings->playback_rate)
        opus->encoder_ctl(encoder, VP_OPUS_SET_MAX_BANDWIDTH, vp_opus_bandwidth(settings->playback_rate));
    opus->encoder_ctl(encoder, VP_OPUS_SET_VBR, (int)!settings->cbr);
    opus->encoder_ctl(encoder, VP_OPUS_SET_COMPLEXITY, (int)settings->complexity);
    opus->encoder_ctl(encoder, VP_OPUS_SET_FEC, (int)settings->fec);
    opus->encoder_ctl(encoder, VP_OPUS_SET_LOSS, (int)settings->loss_percent);
    opus->encoder_ctl(encoder, VP_OPUS_SET_DTX, (int)settings->dtx);
    return encoder;
}

/* Stereo is mixed down by the decoder itself. */
static inline void *vp_opus_decoder(const vp_opus *opus, uint32_t rate) {
    int error = 0;
    void *decoder = opus->decoder_create((int32_t)rate, 1, &error);
    return error ? NULL : decoder;
}

#endif
