/* One direction of a call as samples: packets in at any time, a frame of 20 ms out at each tick.
 *
 *   packets ─▶ jitter ─▶ decoder ─▶ resampler ─▶ queue ─▶ frame
 *                          ▲ none there: concealed        ▲ a period left out or put in where the delay is off its target
 *
 * A packet that is missing when its turn comes is lost when a later one is there, and concealed. When none is there it may
 * only be late: concealed as well, but it is still waited for, so the delay grows by what is concealed and falls back to
 * its target afterwards. A pause of the far side (timestamps go on, sequence numbers do not) is a pause and no loss.
 */
#ifndef VP_INTAKE_H
#define VP_INTAKE_H

#include "codec.h"
#include "conceal.h"
#include "jitter.h"
#include "resample.h"

enum {
    VP_FORMATS = 8,          /* payload types that one side may decode */
    VP_SLACK_ABOVE_MS = 15,  /* the target: nothing is done about the delay */
    VP_SLACK_BELOW_MS = 4,   /* it: the target has 20 ms for a queue that ends within a packet, and no more */
    VP_FAR_OFF_MS = 60,      /* above it: at every tick */
    VP_SETTLE_TICKS = 8,     /* between two corrections otherwise */
    VP_GIVE_UP_TICKS = 50,   /* without a packet: what comes then is a new start */
    VP_HOLE_MAX = 25,        /* packets missing in a row that are concealed one by one */
};

typedef struct {
    uint32_t decoded, late, duplicate, overflow, garbage; /* packets */
    uint32_t concealed; /* packets lost */
    uint32_t recovered; /* of them, by the codec itself */
    uint32_t starved;   /* ticks for which nothing had come yet */
    uint32_t stretched; /* periods left out or put in */
    uint32_t delay_ms, target_ms;
} vp_intake_counters;

typedef struct {
    vp_decoder decoder;
    vp_resampler resampler; /* to the intake's rate */
} vp_intake_format;

typedef struct {
    uint32_t rate; /* of its frames */
    uint32_t count;
    vp_intake_format formats[VP_FORMATS];
    vp_jitter jitter;
    vp_conceal conceal;
    int16_t *queue; /* owned: VP_PACKET_MS_MAX and three frames of samples */
    uint32_t queued, capacity;
    uint32_t expected; /* timestamp of the next sample to be decoded */
    uint32_t waited;   /* RTP units that were concealed for a packet that may still come */
    uint32_t duration; /* of the last packet, RTP units */
    uint32_t epoch;
    uint32_t quiet;   /* ticks without a packet */
    uint32_t settled; /* ticks since the delay was corrected */
    uint8_t format;   /* of the last packet */
    uint16_t noise;   /* comfort noise since the last packet: its peak; 0: none is wanted */
    uint32_t draw;    /* state of the noise */
    bool playing;     /* `expected` means something */
    bool heard;       /* something was played since the start */
} vp_intake;

static inline void vp_intake_free(vp_intake *intake) {
    for (uint32_t i = 0; i < intake->count; i++) {
        vp_decoder_free(&intake->formats[i].decoder);
        vp_resampler_free(&intake->formats[i].resampler);
    }
    vp_jitter_free(&intake->jitter);
    free(intake->queue);
    intake->queue = NULL;
    intake->count = 0;
}

/* 0, or -1 when memory is short or a codec is missing; then nothing is held. */
static inline int vp_intake_init(vp_intake *intake, uint32_t rate, const vp_format *formats, uint32_t count) {
    memset(intake, 0, sizeof *intake);
    intake->rate = rate;
    intake->conceal.scale = rate / 8000;
    intake->capacity = rate / 1000 * (VP_PACKET_MS_MAX + 60);
    intake->queue = malloc(intake->capacity * sizeof *intake->queue);
    vp_jitter_init(&intake->jitter, count ? formats[0].clock_rate : 8000);
    if (!intake->queue || count > VP_FORMATS)
        goto failed;
    for (uint32_t i = 0; i < count; i++) {
        vp_intake_format *format = &intake->formats[i];
        if (vp_decoder_init(&format->decoder, &formats[i]))
            goto failed;
        intake->count++;
        if (vp_resampler_init(&format->resampler, formats[i].rate, rate))
            goto failed;
    }
    return 0;
failed:
    vp_intake_free(intake);
    return -1;
}

/* The place of a payload type among the formats; -1 when it is not decoded. */
static inline int vp_intake_find(const vp_intake *intake, uint8_t payload_type) {
    for (uint32_t i = 0; i < intake->count; i++)
        if (intake->formats[i].decoder.format.payload_type == payload_type)
            return (int)i;
    return -1;
}

/* Whether one takes the same packets as the other and makes the same frames of them; which is preferred does not matter. */
static inline bool vp_intake_same(const vp_intake *one, const vp_intake *other) {
    if (one->rate != other->rate || one->count != other->count)
        return false;
    for (uint32_t i = 0; i < one->count; i++) {
        const vp_format *format = &one->formats[i].decoder.format;
        int found = vp_intake_find(other, format->payload_type);
        if (found < 0 || !vp_format_same(format, &other->formats[found].decoder.format))
            return false;
    }
    return true;
}

/* Takes the place of `before` on the same line. What takes the same packets goes on with those that wait and with what its
 * codecs remember, and `before` has the fresh state; else only what was learnt about the line goes on. */
static inline void vp_intake_inherit(vp_intake *intake, vp_intake *before) {
    if (vp_intake_same(intake, before)) {
        vp_intake fresh = *intake;
        *intake = *before;
        *before = fresh;
    } else {
        vp_jitter_inherit(&intake->jitter, &before->jitter);
    }
}

static inline void vp_intake_restart(vp_intake *intake, uint32_t clock_rate) {
    vp_jitter_flush(&intake->jitter, clock_rate);
    intake->playing = false;
    intake->waited = 0;
}

/* Takes a packet of audio; `epoch` is its stream's. False when its payload type is not decoded. */
static inline bool vp_intake_put(
    vp_intake *intake, vp_intake_counters *counters, const vp_rtp *rtp, uint32_t epoch, uint64_t now
) {
    int found = vp_intake_find(intake, rtp->payload_type);
    if (found < 0)
        return false;
    uint32_t clock_rate = intake->formats[found].decoder.format.clock_rate;
    if (epoch != intake->epoch || clock_rate != intake->jitter.clock_rate)
        vp_intake_restart(intake, clock_rate);
    intake->epoch = epoch;
    intake->quiet = 0;
    switch (vp_jitter_put(&intake->jitter, rtp, now)) {
    case VP_JITTER_LATE:
        VP_ADD(counters->late, 1);
        break;
    case VP_JITTER_DUPLICATE:
        VP_ADD(counters->duplicate, 1);
        break;
    case VP_JITTER_TAKEN:
        break;
    default:
        VP_ADD(counters->overflow, 1);
    }
    return true;
}

/* A packet of the stream that is no audio, a telephone-event: no loss where it was. */
static inline void vp_intake_skip(vp_intake *intake, const vp_rtp *rtp, uint32_t epoch, uint64_t now) {
    vp_rtp empty = {.timestamp = rtp->timestamp, .sequence = rtp->sequence, .payload_type = VP_SKIPPED};
    if (epoch == intake->epoch && intake->jitter.known)
        vp_jitter_put(&intake->jitter, &empty, now);
}

/* Any packet of the stream, in order or not; false when it is none that is decoded. */
static inline bool vp_intake_receive(
    vp_intake *intake, vp_intake_counters *counters, const vp_rtp *rtp, uint32_t epoch, uint64_t now
) {
    if (vp_intake_put(intake, counters, rtp, epoch, now))
        return true;
    vp_intake_skip(intake, rtp, epoch, now);
    return false;
}

static inline uint32_t vp_intake_units(const vp_intake *intake, uint32_t samples) {
    return (uint32_t)((uint64_t)samples * intake->jitter.clock_rate / intake->rate);
}

static inline uint32_t vp_intake_samples(const vp_intake *intake, uint32_t units) {
    return (uint32_t)((uint64_t)units * intake->rate / intake->jitter.clock_rate);
}

/* How long the next sample that is handed out has been on its way, beyond the fastest. */
static inline int32_t vp_intake_delay_ms(const vp_intake *intake, uint64_t now) {
    return vp_jitter_delay_ms(&intake->jitter, intake->expected - vp_intake_units(intake, intake->queued), now);
}

static inline uint32_t vp_intake_room(const vp_intake *intake) { return intake->capacity - intake->queued; }

static inline void vp_intake_append(vp_intake *intake, uint32_t count) {
    vp_conceal_remember(&intake->conceal, intake->queue + intake->queued, count);
    intake->queued += count;
}

/* White, even within ±noise: RFC 3389 leaves the colour to the receiver. */
static inline void vp_intake_add_noise(vp_intake *intake, int16_t *samples, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        intake->draw = intake->draw * 1664525u + 1013904223u;
        int32_t noise = (int32_t)((int64_t)(intake->draw >> 16) * (2 * intake->noise + 1) / 65536) - intake->noise;
        samples[i] = vp_saturate(samples[i] + noise);
    }
}

/* The level of a CN packet is in -dBov (RFC 3389 §3.1); an even distribution has its peak at √3 times its level. */
static inline uint16_t vp_noise_peak(uint8_t level) {
    return (uint16_t)(32767 * 1.2247 * pow(10, -(level & 0x7f) / 20.0)); /* dBov is against a full sine: -3 dB */
}

/* Concealed, or silence when nothing was heard yet; with comfort noise when the far side asked for it. */
static inline void vp_intake_conceal(vp_intake *intake, uint32_t count) {
    int16_t *at = intake->queue + intake->queued;
    if (count > vp_intake_room(intake))
        count = vp_intake_room(intake);
    if (intake->heard)
        vp_conceal_make(&intake->conceal, at, count);
    else
        memset(at, 0, count * sizeof *at);
    if (intake->noise)
        vp_intake_add_noise(intake, at, count);
    vp_intake_append(intake, count);
}

/* The packet whose turn it is becomes samples; one that cannot be decoded is concealed. */
static inline void vp_intake_decode(vp_intake *intake, vp_intake_counters *counters, vp_slot *slot) {
    int16_t decoded[VP_PACKET_SAMPLES];
    int found = vp_intake_find(intake, slot->payload_type);
    vp_intake_format *format = &intake->formats[found < 0 ? intake->format : found];
    const vp_format *is = &format->decoder.format;
    int count = found < 0 ? -1 : vp_decode(&format->decoder, slot->octets, slot->length, decoded);
    vp_jitter_drop(&intake->jitter, slot);
    intake->jitter.next++;
    intake->waited = 0;
    if (found >= 0 && is->kind == VP_CODEC_CN) {
        intake->noise = slot->length ? vp_noise_peak(slot->octets[0]) : 0;
        return; /* the silence that it begins is a pause of the timestamps */
    }
    intake->noise = 0;
    if (count <= 0 || (uint32_t)count * (intake->rate / 8000) / (is->rate / 8000) + 1 > vp_intake_room(intake)) {
        VP_ADD(counters->garbage, 1);
        vp_intake_conceal(intake, vp_intake_samples(intake, intake->duration));
        intake->expected += intake->duration;
        return;
    }
    int16_t *at = intake->queue + intake->queued;
    uint32_t made = vp_resample(&format->resampler, decoded, (uint32_t)count, at);
    vp_conceal_join(&intake->conceal, at, made);
    vp_intake_append(intake, made);
    intake->format = (uint8_t)found;
    intake->duration = (uint32_t)((uint64_t)(uint32_t)count * is->clock_rate / is->rate);
    intake->expected += intake->duration;
    intake->heard = true;
    VP_ADD(counters->decoded, 1);
}

/* A codec that conceals by itself, or whose next packet repeats this one: called with `next` past the missing packet. */
static inline bool vp_intake_recover(vp_intake *intake, vp_intake_counters *counters, const vp_slot *oldest) {
    int16_t decoded[VP_PACKET_SAMPLES];
    vp_intake_format *format = &intake->formats[intake->format];
    const vp_format *is = &format->decoder.format;
    bool follows = oldest->sequence == intake->jitter.next && oldest->payload_type == is->payload_type;
    uint32_t wanted = (uint32_t)((uint64_t)intake->duration * is->rate / is->clock_rate);
    int count = vp_decode_lost(&format->decoder, oldest->octets, follows ? oldest->length : 0, decoded, wanted);
    if (count <= 0 || vp_intake_room(intake) < vp_intake_samples(intake, intake->duration) + 1)
        return false;
    uint32_t made = vp_resample(&format->resampler, decoded, (uint32_t)count, intake->queue + intake->queued);
    vp_conceal_join(&intake->conceal, intake->queue + intake->queued, made);
    vp_intake_append(intake, made);
    VP_ADD(counters->recovered, 1);
    return true;
}

/* A packet whose turn has come is not there, a later one is. */
static inline void vp_intake_lose(vp_intake *intake, vp_intake_counters *counters, const vp_slot *oldest) {
    uint16_t missing = (uint16_t)(oldest->sequence - intake->jitter.next);
    if (missing > VP_HOLE_MAX || !intake->duration) {
        intake->jitter.next = oldest->sequence;
        intake->expected = oldest->timestamp;
        VP_ADD(counters->concealed, missing);
        return;
    }
    intake->jitter.next++;
    intake->expected += intake->duration;
    VP_ADD(counters->concealed, 1);
    if (intake->waited >= intake->duration)
        intake->waited -= intake->duration; /* concealed already, while it could still have come */
    else if (!vp_intake_recover(intake, counters, oldest))
        vp_intake_conceal(intake, vp_intake_samples(intake, intake->duration));
}

/* Its sequence follows, its timestamp does not: the far side paused. True when samples were put in for it. */
static inline bool vp_intake_pause(vp_intake *intake, const vp_slot *slot, uint32_t samples) {
    int32_t gap = (int32_t)(slot->timestamp - intake->expected);
    if (gap <= (int32_t)intake->waited) { /* over already; or an odd clock, which is followed */
        intake->waited -= gap > 0 ? (uint32_t)gap : 0;
        intake->expected = slot->timestamp;
        return false;
    }
    uint32_t left = vp_intake_samples(intake, (uint32_t)gap - intake->waited);
    if (left == 0 || left > VP_GIVE_UP_TICKS * intake->rate / VP_TICKS_PER_SECOND) {
        intake->expected = slot->timestamp;
        return false;
    }
    if (left < samples)
        samples = left;
    vp_intake_conceal(intake, samples);
    intake->expected += intake->waited + vp_intake_units(intake, samples);
    intake->waited = 0;
    return true;
}

static inline void vp_intake_starve(vp_intake *intake, vp_intake_counters *counters, uint32_t samples) {
    if (!intake->playing || !intake->heard) {
        vp_intake_conceal(intake, samples);
        return;
    }
    if (!intake->noise)
        VP_ADD(counters->starved, 1);
    intake->waited += vp_intake_units(intake, samples);
    vp_intake_conceal(intake, samples);
}

static inline void vp_intake_pass(vp_intake *intake, vp_slot *slot) {
    vp_jitter_drop(&intake->jitter, slot);
    intake->jitter.next++;
}

/* Puts at least one sample into the queue, or takes a step towards that; `samples` are wanted. */
static inline void vp_intake_fill(vp_intake *intake, vp_intake_counters *counters, uint32_t samples) {
    vp_slot *oldest = intake->playing ? vp_jitter_oldest(&intake->jitter) : NULL;
    if (!oldest)
        vp_intake_starve(intake, counters, samples);
    else if (oldest->sequence != intake->jitter.next)
        vp_intake_lose(intake, counters, oldest);
    else if (oldest->payload_type == VP_SKIPPED)
        vp_intake_pass(intake, oldest);
    else if (oldest->timestamp == intake->expected || !vp_intake_pause(intake, oldest, samples))
        vp_intake_decode(intake, counters, oldest);
}

/* The first packet waits until the delay is what the target asks for. */
static inline void vp_intake_begin(vp_intake *intake, uint64_t now) {
    vp_slot *oldest = vp_jitter_oldest(&intake->jitter);
    if (!oldest || !intake->jitter.has_transit || vp_jitter_delay_ms(&intake->jitter, oldest->timestamp, now) < (int32_t)intake->jitter.target_ms)
        return;
    intake->jitter.next = oldest->sequence;
    intake->expected = oldest->timestamp;
    intake->queued = 0; /* it is empty but for what rounding left */
    intake->playing = true;
    intake->settled = 0;
}

/* One period less or more when the delay has left its target. */
static inline void vp_intake_settle(vp_intake *intake, vp_intake_counters *counters, uint64_t now) {
    uint32_t scale = intake->conceal.scale, span = VP_STRETCH_SPAN * scale;
    int32_t above = vp_intake_delay_ms(intake, now) - (int32_t)intake->jitter.target_ms;
    bool far = above > VP_FAR_OFF_MS;
    if (intake->settled++ < (far ? 1 : VP_SETTLE_TICKS) || (above < VP_SLACK_ABOVE_MS && above > -VP_SLACK_BELOW_MS) || intake->waited)
        return;
    vp_slot *next = vp_jitter_oldest(&intake->jitter);
    while (intake->queued < span && next && next->sequence == intake->jitter.next && next->timestamp == intake->expected
           && next->payload_type != VP_SKIPPED
           && vp_intake_room(intake) > intake->rate / 1000 * VP_PACKET_MS_MAX) {
        vp_intake_decode(intake, counters, next);
        next = vp_jitter_oldest(&intake->jitter);
    }
    /* With little delay there is never a whole span: what there is must do, or the end is reached before a period is won. */
    uint32_t period = above > 0 && intake->queued < span ? 0 : vp_stretch_period(intake->queue, intake->queued, scale, far);
    if (!period || vp_intake_room(intake) < period)
        return;
    if (above > 0)
        intake->queued = vp_shorten(intake->queue, intake->queued, period);
    else
        intake->queued = vp_lengthen(intake->queue, intake->queued, period);
    intake->settled = 0;
    VP_ADD(counters->stretched, 1);
}

/* The next 20 ms. False when there is nothing to hear: no packet came for a second, or none at all. */
static inline bool vp_intake_take(vp_intake *intake, vp_intake_counters *counters, uint64_t now, int16_t *frame) {
    uint32_t samples = intake->rate / VP_TICKS_PER_SECOND;
    bool gone = ++intake->quiet > VP_GIVE_UP_TICKS && !intake->noise;
    if (gone)
        intake->playing = false;
    if (!intake->playing)
        vp_intake_begin(intake, now);
    else
        vp_intake_settle(intake, counters, now);
    if (!intake->playing && !intake->heard)
        return false;
    while (intake->queued < samples)
        vp_intake_fill(intake, counters, samples - intake->queued);
    memcpy(frame, intake->queue, samples * sizeof *frame);
    intake->queued -= samples;
    memmove(intake->queue, intake->queue + samples, intake->queued * sizeof *frame);
    VP_SET(counters->target_ms, intake->jitter.target_ms);
    if (intake->playing)
        VP_SET(counters->delay_ms, (uint32_t)(vp_intake_delay_ms(intake, now) + 20));
    return !gone;
}

#endif
