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

typedef struct {
    uint32_t references; /* atomic: the face's and one for each member */
    uint32_t rate;
    bool open;     /* who is quiet is heard too */
    uint32_t turn; /* the tick that the sums are of */
    int32_t sum[VP_PCM_FRAME];
    int32_t asides[VP_ASIDES][VP_PCM_FRAME];
    vp_notice *notice; /* held; what is announced, from `at` on */
    uint32_t at;
    vp_encoding *encodings[VP_MIXER_ENCODINGS]; /* owned, made when first needed */
} vp_mixer;

/* A member's part of it, in its audio. */
typedef struct {
    vp_mixer *mixer; /* held; NULL: it is in none */
    int32_t gain;
    uint32_t silent; /* ticks since it spoke */
    bool muted, speaks;
    bool adds; /* at this tick */
    bool told; /* hears the mixer; else it is only heard */
    uint8_t aside, confided; /* from 1 on: which aside it speaks into, and which one it hears; 0: none */
} vp_membership;

/* NULL when memory is short. One reference, the caller's. */
static inline vp_mixer *vp_mixer_new(uint32_t rate, bool open) {
    vp_mixer *mixer = calloc(1, sizeof *mixer);
    if (mixer) {
        mixer->references = 1;
        mixer->rate = rate;
        mixer->open = open;
    }
    return mixer;
}

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
    vp_notice_release(mixer->notice);
    free(mixer);
}

/* The notice is the mixer's from here on; one that was playing ends. */
static inline void vp_mixer_announce(vp_mixer *mixer, vp_notice *notice) {
    vp_notice_release(mixer->notice);
    mixer->notice = notice;
    mixer->at = 0;
}

static inline void vp_mixer_begin(vp_mixer *mixer, uint32_t turn) {
    uint32_t samples = mixer->rate / VP_TICKS_PER_SECOND;
    if (mixer->turn == turn)
        return;
    mixer->turn = turn;
    memset(mixer->sum, 0, samples * sizeof *mixer->sum);
    for (int i = 0; mixer->open && i < VP_ASIDES; i++)
        memset(mixer->asides[i], 0, samples * sizeof *mixer->sum);
    for (uint32_t i = 0; mixer->notice && i < samples && mixer->at < mixer->notice->count; i++)
        mixer->sum[i] = mixer->notice->samples[mixer->at++];
    if (mixer->notice && mixer->at >= mixer->notice->count)
        vp_mixer_announce(mixer, NULL);
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

static inline int32_t *vp_mixer_spoken(vp_mixer *mixer, const vp_membership *member) {
    return member->aside ? mixer->asides[member->aside - 1] : mixer->sum;
}

/* A member's frame of this turn; true when it began or ended to speak, where somebody looks at that. */
static inline bool vp_mixer_add(vp_membership *member, const int16_t *frame, uint32_t turn) {
    vp_mixer *mixer = member->mixer;
    uint32_t samples = mixer->rate / VP_TICKS_PER_SECOND;
    vp_mixer_begin(mixer, turn);
    bool changed = vp_membership_listen(member, frame, samples);
    member->adds = mixer->open ? !member->muted : member->speaks;
    int32_t *sum = vp_mixer_spoken(mixer, member);
    for (uint32_t i = 0; member->adds && i < samples; i++)
        sum[i] += vp_share(member, frame[i]);
    return changed && !mixer->open;
}

/* What the member hears: the others. */
static inline void vp_mixer_hear(const vp_membership *member, const int16_t *frame, int16_t *heard) {
    const vp_mixer *mixer = member->mixer;
    uint32_t samples = mixer->rate / VP_TICKS_PER_SECOND;
    bool hears_itself = member->adds && (!member->aside || member->aside == member->confided);
    const int32_t *aside = member->confided ? mixer->asides[member->confided - 1] : NULL;
    for (uint32_t i = 0; i < samples; i++) {
        int32_t others = mixer->sum[i] - (hears_itself ? vp_share(member, frame[i]) : 0);
        heard[i] = vp_saturate(aside ? others + aside[i] : others);
    }
}

static inline bool vp_encoding_is(const vp_encoding *encoding, const vp_format *format) {
    const vp_format *is = &encoding->encoder.format;
    return is->kind == format->kind && is->rate == format->rate && is->ptime_ms == format->ptime_ms;
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
static inline void vp_encoding_run(vp_encoding *encoding, const vp_mixer *mixer) {
    const vp_format *format = &encoding->encoder.format;
    int16_t heard[VP_PCM_FRAME];
    uint32_t samples = mixer->rate / VP_TICKS_PER_SECOND, count = format->rate / 1000 * format->ptime_ms;
    if (encoding->turn == mixer->turn)
        return;
    encoding->turn = mixer->turn;
    for (uint32_t i = 0; i < samples; i++)
        heard[i] = vp_saturate(mixer->sum[i]);
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
            mixer->encodings[i] = vp_encoding_new(format, mixer->rate);
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
