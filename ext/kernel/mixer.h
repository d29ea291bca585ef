/* A conference: at each tick everybody hears the sum of all others.
 *
 *   listen: each member's frame ─▶ sum (int32), and its share is kept      say: sum - own share, saturated once
 *
 * A mixer is no thread and has no list: the audio of its members points to it, and the first of a tick clears the sum.
 * All members belong to one worker. Who does not speak (a level, with half a second of hang-over) adds nothing, so that
 * the noise of 500 open lines is not heard, and all who do not speak hear the same: it is encoded once for each codec.
 *
 * A conversation that is overheard is an open mixer: nobody is left out for being quiet. Who is not told is heard and goes
 * on as it is, relayed or transcoded; what is said aside is heard by the one who has the other's confidence alone.
 *
 * A room that is wide has a second layer at 8 kHz for those whose codec has no more, so that not each of them is resampled,
 * there and back: that would cost more than mixing it. Once a tick and layer the sum of the other one is resampled into it,
 * while somebody speaks there. The shares of others are saturated on that way, at the same level as at the end.
 */
#ifndef VP_MIXER_H
#define VP_MIXER_H

#include "codec.h"
#include "resample.h"

enum {
    VP_ASIDES = 2,
    VP_MIXER_ENCODINGS = 6,  /* codecs with a packet time that listeners share; who has another encodes for itself */
    VP_SPEECH_POWER = 60 * 60, /* about -52 dBov: below it is no speech */
    VP_SPEECH_HANG = 25,     /* ticks */
    VP_SHARE_AFTER = 50,     /* ticks of silence until a member hears what all listeners hear */
    VP_GAIN_ONE = 256,
    VP_GAIN_MAX = 16 * VP_GAIN_ONE, /* +24 dB */
    VP_NARROW_RATE = 8000,
    VP_LAYERS = 2,
    VP_LAYER_TAIL = 1, /* frames of silence after which a filter between the layers has nothing more to say */
};

typedef struct {
    vp_encoder encoder;
    vp_resampler resampler;
    int16_t *pending; /* owned */
    uint32_t waiting, turn;
    bool full;  /* a packet was made in this turn */
    int length; /* of it; 0: silence needs none */
    uint8_t payload[VP_PAYLOAD_MAX];
} vp_encoding;

/* A sound for everybody in the room. */
typedef struct {
    uint32_t references; /* atomic */
    uint32_t count;      /* samples, at the mixer's rate */
    int16_t samples[];
} vp_notice;

/* What is said at one rate. */
typedef struct {
    uint32_t rate;
    uint32_t quiet;   /* turns since somebody spoke in it */
    uint32_t crossed; /* the turn that `other` is of */
    bool carries;     /* `other` is not silence */
    int32_t sum[VP_PCM_FRAME];
    int16_t other[VP_PCM_FRAME + 1]; /* what is said in the other layer */
    vp_resampler inlet;              /* from the other layer */
} vp_layer;

typedef struct {
    uint32_t references; /* atomic: the face's and one for each member */
    uint32_t rate;
    bool open;     /* who is quiet is heard too */
    uint32_t turn; /* the tick that the sums are of */
    uint32_t layer_count;
    vp_layer layers[VP_LAYERS]; /* the room's own rate, then the narrow one where that is another */
    int32_t asides[VP_ASIDES][VP_PCM_FRAME];
    vp_notice *notice; /* held; what is announced, from `at` on */
    uint32_t at;
    vp_encoding *encodings[VP_MIXER_ENCODINGS]; /* owned, made when first needed */
} vp_mixer;

/* A member's part of it, in its audio. */
typedef struct {
    vp_mixer *mixer; /* held; NULL: it is in none */
    vp_layer *layer; /* of it: where its own rate is mixed */
    int32_t gain;
    uint32_t silent; /* ticks since it spoke */
    bool muted, speaks;
    bool adds; /* at this tick */
    bool told; /* hears the mixer; else it is only heard */
    uint8_t aside, confided; /* from 1 on: which aside it speaks into, and which one it hears; 0: none */
} vp_membership;

static inline vp_notice *vp_notice_new(const int16_t *samples, uint32_t count) {
    vp_notice *notice = malloc(sizeof *notice + count * sizeof *samples);
    if (notice) {
        notice->references = 1;
        notice->count = count;
        memcpy(notice->samples, samples, count * sizeof *samples);
    }
    return notice;
}

static inline void vp_notice_release(vp_notice *notice) {
    if (notice && __atomic_sub_fetch(&notice->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(notice);
}

static inline void vp_encoding_free(vp_encoding *encoding) {
    if (!encoding)
        return;
    vp_encoder_free(&encoding->encoder);
    vp_resampler_free(&encoding->resampler);
    free(encoding->pending);
    free(encoding);
}

static inline void vp_mixer_hold(vp_mixer *mixer) { __atomic_add_fetch(&mixer->references, 1, __ATOMIC_RELAXED); }

static inline void vp_mixer_release(vp_mixer *mixer) {
    if (!mixer || __atomic_sub_fetch(&mixer->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (int i = 0; i < VP_MIXER_ENCODINGS; i++)
        vp_encoding_free(mixer->encodings[i]);
    for (int i = 0; i < VP_LAYERS; i++)
        vp_resampler_free(&mixer->layers[i].inlet);
    vp_notice_release(mixer->notice);
    free(mixer);
}

/* NULL when memory is short. One reference, the caller's. An open mixer has one layer: its two sides have one rate. */
static inline vp_mixer *vp_mixer_new(uint32_t rate, bool open) {
    vp_mixer *mixer = calloc(1, sizeof *mixer);
    if (!mixer)
        return NULL;
    mixer->references = 1;
    mixer->rate = mixer->layers[0].rate = rate;
    mixer->open = open;
    mixer->layer_count = open || rate <= VP_NARROW_RATE ? 1 : VP_LAYERS;
    mixer->layers[1].rate = VP_NARROW_RATE;
    if (mixer->layer_count == VP_LAYERS
        && (vp_resampler_init(&mixer->layers[0].inlet, VP_NARROW_RATE, rate)
            || vp_resampler_init(&mixer->layers[1].inlet, rate, VP_NARROW_RATE))) {
        vp_mixer_release(mixer);
        return NULL;
    }
    return mixer;
}

/* Where members with samples at this rate are mixed; NULL: nowhere. */
static inline vp_layer *vp_mixer_layer(vp_mixer *mixer, uint32_t rate) {
    for (uint32_t i = 0; i < mixer->layer_count; i++)
        if (mixer->layers[i].rate == rate)
            return &mixer->layers[i];
    return NULL;
}

/* The notice is the mixer's from here on; one that was playing ends. */
static inline void vp_mixer_announce(vp_mixer *mixer, vp_notice *notice) {
    vp_notice_release(mixer->notice);
    mixer->notice = notice;
    mixer->at = 0;
}

static inline void vp_mixer_notify(vp_mixer *mixer, vp_layer *layer, uint32_t samples) {
    for (uint32_t i = 0; i < samples && mixer->at < mixer->notice->count; i++)
        layer->sum[i] = mixer->notice->samples[mixer->at++];
    layer->quiet = 0;
    if (mixer->at >= mixer->notice->count)
        vp_mixer_announce(mixer, NULL);
}

static inline void vp_mixer_begin(vp_mixer *mixer, uint32_t turn) {
    if (mixer->turn == turn)
        return;
    mixer->turn = turn;
    for (uint32_t i = 0; i < mixer->layer_count; i++) {
        vp_layer *layer = &mixer->layers[i];
        memset(layer->sum, 0, layer->rate / VP_TICKS_PER_SECOND * sizeof *layer->sum);
        layer->quiet += layer->quiet < UINT32_MAX;
    }
    for (int i = 0; mixer->open && i < VP_ASIDES; i++)
        memset(mixer->asides[i], 0, mixer->rate / VP_TICKS_PER_SECOND * sizeof **mixer->asides);
    if (mixer->notice)
        vp_mixer_notify(mixer, &mixer->layers[0], mixer->rate / VP_TICKS_PER_SECOND);
}

/* What is said in the other layer comes into this one, when everybody has been listened to. */
static inline void vp_mixer_cross(vp_mixer *mixer, vp_layer *layer) {
    const vp_layer *other = &mixer->layers[layer == mixer->layers];
    int16_t said[VP_PCM_FRAME];
    if (mixer->layer_count < VP_LAYERS || layer->crossed == mixer->turn)
        return;
    if (layer->crossed != mixer->turn - 1) /* nobody heard this layer meanwhile */
        vp_resampler_reset(&layer->inlet);
    layer->crossed = mixer->turn;
    layer->carries = other->quiet <= VP_LAYER_TAIL;
    if (!layer->carries)
        return;
    uint32_t samples = other->rate / VP_TICKS_PER_SECOND;
    for (uint32_t i = 0; i < samples; i++)
        said[i] = vp_saturate(other->sum[i]);
    vp_resample(&layer->inlet, said, samples, layer->other);
}

static inline int32_t vp_share(const vp_membership *member, int16_t sample) {
    return member->gain == VP_GAIN_ONE ? sample : sample * member->gain / VP_GAIN_ONE;
}

/* Whether the member speaks has changed: true. */
static inline bool vp_membership_listen(vp_membership *member, const int16_t *frame, uint32_t samples) {
    bool loud = !member->muted && vp_power(frame, samples) > VP_SPEECH_POWER, before = member->speaks;
    if (loud)
        member->silent = 0;
    else if (member->silent < UINT32_MAX)
        member->silent++;
    member->speaks = !member->muted && (loud || (before && member->silent < VP_SPEECH_HANG));
    return member->speaks != before;
}

/* A member's frame of this turn; true when it began or ended to speak, where somebody looks at that. */
static inline bool vp_mixer_add(vp_membership *member, const int16_t *frame, uint32_t turn) {
    vp_mixer *mixer = member->mixer;
    vp_layer *layer = member->layer;
    uint32_t samples = layer->rate / VP_TICKS_PER_SECOND;
    vp_mixer_begin(mixer, turn);
    bool changed = vp_membership_listen(member, frame, samples);
    member->adds = mixer->open ? !member->muted : member->speaks;
    int32_t *sum = member->aside ? mixer->asides[member->aside - 1] : layer->sum;
    for (uint32_t i = 0; member->adds && i < samples; i++)
        sum[i] += vp_share(member, frame[i]);
    if (member->adds)
        layer->quiet = 0;
    return changed && !mixer->open;
}

/* What the member hears: the others. */
static inline void vp_mixer_hear(const vp_membership *member, const int16_t *frame, int16_t *heard) {
    vp_mixer *mixer = member->mixer;
    vp_layer *layer = member->layer;
    uint32_t samples = layer->rate / VP_TICKS_PER_SECOND;
    vp_mixer_cross(mixer, layer);
    bool hears_itself = member->adds && (!member->aside || member->aside == member->confided);
    const int32_t *aside = member->confided ? mixer->asides[member->confided - 1] : NULL;
    for (uint32_t i = 0; i < samples; i++) {
        int32_t others = layer->sum[i] - (hears_itself ? vp_share(member, frame[i]) : 0);
        others += layer->carries ? layer->other[i] : 0;
        heard[i] = vp_saturate(aside ? others + aside[i] : others);
    }
}

static inline bool vp_encoding_is(const vp_encoding *encoding, const vp_format *format) {
    const vp_format *is = &encoding->encoder.format;
    bool same = is->kind == format->kind && is->rate == format->rate && is->ptime_ms == format->ptime_ms;
    return same && (format->kind != VP_CODEC_OPUS || vp_opus_same(&is->settings, &format->settings));
}

/* The layer that a codec's listeners share: their own rate's, or the room's. */
static inline vp_layer *vp_mixer_layer_for(vp_mixer *mixer, const vp_format *format) {
    vp_layer *layer = vp_mixer_layer(mixer, format->rate);
    return layer ? layer : &mixer->layers[0];
}

static inline vp_encoding *vp_encoding_new(const vp_format *format, uint32_t rate) {
    vp_encoding *encoding = calloc(1, sizeof *encoding);
    if (!encoding)
        return NULL;
    encoding->pending = malloc((format->rate / 1000 * (VP_PACKET_MS_MAX + 20) + 1) * sizeof *encoding->pending);
    if (!encoding->pending || vp_resampler_init(&encoding->resampler, rate, format->rate)
        || vp_encoder_init(&encoding->encoder, format)) {
        vp_encoding_free(encoding);
        return NULL;
    }
    return encoding;
}

/* At most one packet a tick is shared: who wants shorter ones encodes for itself. */
static inline void vp_encoding_run(vp_encoding *encoding, vp_mixer *mixer) {
    const vp_format *format = &encoding->encoder.format;
    vp_layer *layer = vp_mixer_layer_for(mixer, format);
    int16_t heard[VP_PCM_FRAME];
    uint32_t samples = layer->rate / VP_TICKS_PER_SECOND, count = format->rate / 1000 * format->ptime_ms;
    if (encoding->turn == mixer->turn)
        return;
    encoding->turn = mixer->turn;
    vp_mixer_cross(mixer, layer);
    for (uint32_t i = 0; i < samples; i++)
        heard[i] = vp_saturate(layer->sum[i] + (layer->carries ? layer->other[i] : 0));
    encoding->waiting += vp_resample(&encoding->resampler, heard, samples, encoding->pending + encoding->waiting);
    encoding->length = 0;
    encoding->full = encoding->waiting >= count;
    if (!encoding->full)
        return;
    encoding->length = vp_encode(&encoding->encoder, encoding->pending, count, encoding->payload);
    encoding->waiting -= count;
    memmove(encoding->pending, encoding->pending + count, encoding->waiting * sizeof *encoding->pending);
}

/* What all listeners of this codec hear at this tick; NULL when the member is none, or its codec cannot be shared. */
static inline vp_encoding *vp_mixer_share(const vp_membership *member, const vp_format *format) {
    vp_mixer *mixer = member->mixer;
    if (member->silent < VP_SHARE_AFTER || member->adds || member->confided || format->ptime_ms < 20)
        return NULL;
    for (int i = 0; i < VP_MIXER_ENCODINGS; i++) {
        if (!mixer->encodings[i])
            mixer->encodings[i] = vp_encoding_new(format, vp_mixer_layer_for(mixer, format)->rate);
        if (!mixer->encodings[i])
            return NULL;
        if (!vp_encoding_is(mixer->encodings[i], format))
            continue;
        vp_encoding_run(mixer->encodings[i], mixer);
        return mixer->encodings[i];
    }
    return NULL;
}

#endif
