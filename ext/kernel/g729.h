/* G.729 Annex A (RTP by RFC 3551 §4.5.6) by bcg729 since 1.0.2: 10 ms in 10 octets. Annex B is decoded and never sent:
 * what is offered says annexb=no, and a phone that sends its two octets of comfort noise all the same is understood.
 */
#ifndef VP_G729_H
#define VP_G729_H

#include <stdbool.h>

#include "plugin.h"

enum { VP_G729_FRAME = 80, VP_G729_OCTETS = 10, VP_G729_NOISE_OCTETS = 2 };

/* The places of its functions. */
enum {
    VP_G729_ENCODER_NEW, VP_G729_ENCODER_FREE, VP_G729_ENCODE, VP_G729_DECODER_NEW, VP_G729_DECODER_FREE, VP_G729_DECODE,
    VP_G729_FUNCTIONS
};

typedef void *vp_g729_encoder_new(uint8_t annex_b);
typedef void *vp_g729_decoder_new(void);
typedef void vp_g729_free(void *state);
typedef void vp_g729_encode(void *encoder, const int16_t *samples, uint8_t *octets, uint8_t *length);
typedef void vp_g729_decode(void *decoder, const uint8_t *octets, uint8_t length, uint8_t is_lost, uint8_t is_noise,
                            uint8_t is_rfc3389, int16_t *samples);

static inline void *vp_g729_make_encoder(const vp_plugin *plugin) {
    return ((vp_g729_encoder_new *)plugin->functions[VP_G729_ENCODER_NEW])(0);
}

static inline void vp_g729_drop_encoder(const vp_plugin *plugin, void *encoder) {
    ((vp_g729_free *)plugin->functions[VP_G729_ENCODER_FREE])(encoder);
}

static inline int vp_g729_encode_frame(const vp_plugin *plugin, void *encoder, const int16_t *samples, uint8_t *octets) {
    uint8_t length = 0;
    ((vp_g729_encode *)plugin->functions[VP_G729_ENCODE])(encoder, samples, octets, &length);
    return length == VP_G729_OCTETS ? length : -1;
}

static inline void *vp_g729_make_decoder(const vp_plugin *plugin) {
    return ((vp_g729_decoder_new *)plugin->functions[VP_G729_DECODER_NEW])();
}

static inline void vp_g729_drop_decoder(const vp_plugin *plugin, void *decoder) {
    ((vp_g729_free *)plugin->functions[VP_G729_DECODER_FREE])(decoder);
}

static inline int vp_g729_decode_frame(
    const vp_plugin *plugin, void *decoder, const uint8_t *octets, uint32_t length, int16_t *samples
) {
    bool is_noise = length == VP_G729_NOISE_OCTETS; /* comfort noise stands at the end of a packet */
    if (length < VP_G729_OCTETS && !is_noise)
        return -1;
    uint8_t taken = is_noise ? VP_G729_NOISE_OCTETS : VP_G729_OCTETS;
    ((vp_g729_decode *)plugin->functions[VP_G729_DECODE])(decoder, octets, taken, false, is_noise, false, samples);
    return taken;
}

static inline void vp_g729_conceal_frame(const vp_plugin *plugin, void *decoder, int16_t *samples) {
    ((vp_g729_decode *)plugin->functions[VP_G729_DECODE])(decoder, NULL, 0, true, false, false, samples);
}

/* All but its functions. */
static const vp_plugin vp_g729 = {
    .frame = VP_G729_FRAME,
    .frame_octets = VP_G729_OCTETS,
    .encoder_new = vp_g729_make_encoder,
    .encoder_free = vp_g729_drop_encoder,
    .encode = vp_g729_encode_frame,
    .decoder_new = vp_g729_make_decoder,
    .decoder_free = vp_g729_drop_decoder,
    .decode = vp_g729_decode_frame,
    .conceal = vp_g729_conceal_frame,
};

#endif
