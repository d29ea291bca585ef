/* The decoded audio of a port: there only while somebody wants samples. A relayed call has none of it.
 *
 *                 ┌──────────────── vp_audio ────────────────┐
 *   far side ──▶ intake "heard" ─▶ 20 ms ─▶ sinks, the peer's "said", a mixer
 *   far side ◀── encoder ◀──────── 20 ms ◀─ a source, else the peer's "heard"          ─▶ sinks ("said")
 *   far side ◀── packets of a relay or a prompt ─▶ intake "said" ─────────────────────▶ sinks ("said")
 *
 * At each tick of a worker every audio listens first (vp_audio_listen), then every port says (vp_port_produce): all see
 * the same 20 ms. Sinks get both directions with one and the same number of the tick, so that two channels stay aligned;
 * a direction in which nothing is to be heard is given as silence.
 *
 * The thread of the verbs makes an audio, with its codecs, and gives it away by command; the worker frees it. Sinks and
 * the source move to the next one when an audio is replaced: a re-negotiation does not interrupt a recording. What is the
 * same in both goes on as well: a recording that begins is not heard.
 */
#ifndef VP_AUDIO_H
#define VP_AUDIO_H

#include "intake.h"
#include "mixer.h"
#include "silence.h"

typedef enum { VP_HEARD = 1, VP_SAID = 2 } vp_side;

/* Who takes samples: a recorder, a tap, a detector. `rate` and `sides` are set before it is attached, the rest is 0. */
typedef struct vp_sink vp_sink;
struct vp_sink {
    vp_sink *next;
    uint32_t id;   /* by which it is detached */
    uint32_t rate; /* the samples come at this rate, whatever the codecs are */
    uint8_t sides; /* vp_side, or both */
    /* What a detector of keys has found at this tick: event code + 1; the port reports it. */
    uint8_t key_down, key_up;
    uint32_t key_ms;
    vp_resampler resamplers[2];
    /* `count` is rate / 50. `tick` counts the 20 ms since the port had audio first. Runs in the worker: it may not wait. */
    void (*take)(vp_sink *sink, vp_side side, const int16_t *samples, uint32_t count, uint64_t tick);
    void (*release)(vp_sink *sink); /* detached or the port closed: frees it; the last call */
};

/* Who gives samples to be said instead of what else would be: a speak ring. */
typedef struct vp_source vp_source;
struct vp_source {
    uint32_t id;
    uint32_t rate; /* the samples it gives are at this rate */
    vp_resampler resampler;
    /* Fills `count` samples, rate / 50, and returns true; false when it has nothing to say now. */
    bool (*give)(vp_source *source, int16_t *samples, uint32_t count);
    void (*release)(vp_source *source);
};

typedef struct {
    vp_intake_counters heard, said;
    uint32_t encoded; /* packets */
} vp_audio_counters;

typedef struct {
    uint32_t rate;     /* of its frames */
    bool encodes;      /* what the peer says is encoded here: the legs share no codec */
    bool has_encoder;
    bool is_heard;     /* at this tick: `frame` is of the far side and no filling */
    vp_intake heard;
    vp_intake *said;   /* owned; made when a sink wants to know what a relay or a prompt sends */
    vp_sink *sinks;    /* owned */
    vp_source *source; /* owned */
    vp_membership member; /* of a conference */
    vp_encoder encoder;
    vp_resampler outlet; /* to the encoder's rate */
    vp_silence silence;  /* enabled: pauses are comfort noise */
    int16_t *pending;    /* owned: samples that wait for their packet to be full */
    uint32_t waiting;
    uint32_t timestamp;  /* of the next packet made here */
    uint32_t epoch;      /* counts the pauses in what is said here */
    uint16_t sequence;
    uint64_t tick;
    bool skipped;  /* the last packet was not sent: silence */
    bool says;     /* since the last pause */
    bool has_said; /* at this tick */
    int16_t frame[VP_PCM_FRAME]; /* what was heard at this tick */
} vp_audio;

static inline uint32_t vp_audio_samples(const vp_audio *audio) { return audio->rate / VP_TICKS_PER_SECOND; }

static inline void vp_audio_free(vp_audio *audio) {
    if (!audio)
        return;
    while (audio->sinks) {
        vp_sink *sink = audio->sinks;
        audio->sinks = sink->next;
        vp_resampler_free(&sink->resamplers[0]);
        vp_resampler_free(&sink->resamplers[1]);
        sink->release(sink);
    }
    if (audio->source) {
        vp_resampler_free(&audio->source->resampler);
        audio->source->release(audio->source);
    }
    if (audio->said)
        vp_intake_free(audio->said);
    free(audio->said);
    vp_intake_free(&audio->heard);
    if (audio->has_encoder)
        vp_encoder_free(&audio->encoder);
    vp_mixer_release(audio->member.mixer);
    vp_resampler_free(&audio->outlet);
    free(audio->pending);
    free(audio);
}

/* What an audio is made of. `send` NULL: nothing is encoded. `told` are the formats under the numbers that we send. */
typedef struct {
    uint32_t rate;
    const vp_format *receive, *told, *send;
    uint32_t receive_count, told_count;
    bool encodes;
    int16_t noise; /* payload type of comfort noise, -1: pauses are sent as they are */
} vp_audio_plan;

static inline int vp_audio_init_encoder(vp_audio *audio, const vp_format *format) {
    if (vp_encoder_init(&audio->encoder, format))
        return -1;
    audio->has_encoder = true;
    audio->pending = malloc((format->rate / 1000 * (VP_PACKET_MS_MAX + 20) + 1) * sizeof *audio->pending);
    return !audio->pending || vp_resampler_init(&audio->outlet, audio->rate, format->rate) ? -1 : 0;
}

/* NULL when memory is short or a codec is missing. */
static inline vp_audio *vp_audio_new(const vp_audio_plan *plan) {
    vp_audio *audio = calloc(1, sizeof *audio);
    if (!audio)
        return NULL;
    audio->rate = plan->rate;
    audio->encodes = plan->encodes;
    if (vp_intake_init(&audio->heard, plan->rate, plan->receive, plan->receive_count))
        goto failed;
    if (plan->told_count) {
        audio->said = calloc(1, sizeof *audio->said);
        if (!audio->said || vp_intake_init(audio->said, plan->rate, plan->told, plan->told_count))
            goto failed;
    }
    if (plan->send && vp_audio_init_encoder(audio, plan->send))
        goto failed;
    audio->silence = (vp_silence){.enabled = plan->noise >= 0, .payload_type = (uint8_t)plan->noise};
    return audio;
failed:
    vp_audio_free(audio);
    return NULL;
}

/* What encodes the same goes on with what waits for its packet and what the codec remembers; false when it does not. */
static inline bool vp_audio_inherit_encoder(vp_audio *audio, vp_audio *before) {
    bool same = audio->has_encoder && before->has_encoder && audio->rate == before->rate
        && audio->silence.enabled == before->silence.enabled && audio->silence.payload_type == before->silence.payload_type
        && vp_format_same(&audio->encoder.format, &before->encoder.format);
    if (!same)
        return false;
    vp_encoder encoder = audio->encoder;
    vp_resampler outlet = audio->outlet;
    int16_t *pending = audio->pending;
    audio->encoder = before->encoder;
    audio->outlet = before->outlet;
    audio->pending = before->pending;
    before->encoder = encoder;
    before->outlet = outlet;
    before->pending = pending;
    audio->silence = before->silence;
    audio->waiting = before->waiting;
    audio->skipped = before->skipped;
    audio->says = before->says;
    return true;
}

/* Whoever is attached to `before` goes on with `audio`, and so does the numbering of what is sent. */
static inline void vp_audio_inherit(vp_audio *audio, vp_audio *before) {
    audio->sinks = before->sinks;
    audio->source = before->source;
    if (before->rate == audio->rate) {
        audio->member = before->member;
        before->member.mixer = NULL;
    }
    audio->sequence = before->sequence;
    audio->timestamp = before->timestamp;
    audio->epoch = before->epoch + !vp_audio_inherit_encoder(audio, before);
    audio->tick = before->tick;
    vp_intake_inherit(&audio->heard, &before->heard);
    if (audio->said && before->said)
        vp_intake_inherit(audio->said, before->said);
    before->sinks = NULL;
    before->source = NULL;
}

static inline void vp_audio_attach_sink(vp_audio *audio, vp_sink *sink) {
    sink->next = audio->sinks;
    audio->sinks = sink;
}

/* Lets go of the sink with this number, when it is there. */
static inline void vp_audio_detach_sink(vp_audio *audio, uint32_t id) {
    for (vp_sink **at = &audio->sinks; *at; at = &(*at)->next) {
        vp_sink *sink = *at;
        if (sink->id != id)
            continue;
        *at = sink->next;
        vp_resampler_free(&sink->resamplers[0]);
        vp_resampler_free(&sink->resamplers[1]);
        sink->release(sink);
        return;
    }
}

static inline void vp_audio_detach_source(vp_audio *audio, uint32_t id) {
    vp_source *source = audio->source;
    if (!source || source->id != id)
        return;
    audio->source = NULL;
    vp_resampler_free(&source->resampler);
    source->release(source);
}

static inline void vp_audio_attach_source(vp_audio *audio, vp_source *source) {
    if (audio->source)
        vp_audio_detach_source(audio, audio->source->id);
    audio->source = source;
}

/* Filters are made at the first frame and when the audio's rate has changed: rare, and some microseconds. */
static inline bool vp_resampler_fits(vp_resampler *resampler, uint32_t from, uint32_t to) {
    if (resampler->from == from && resampler->to == to)
        return true;
    vp_resampler_free(resampler);
    return !vp_resampler_init(resampler, from, to);
}

/* A frame of this port goes to all who listen to this side. `samples` NULL is silence. */
static inline void vp_audio_tell(vp_audio *audio, vp_side side, const int16_t *samples) {
    static const int16_t silence[VP_PCM_FRAME];
    int16_t resampled[VP_PCM_FRAME + 1];
    for (vp_sink *sink = audio->sinks; sink; sink = sink->next) {
        vp_resampler *resampler = &sink->resamplers[side == VP_SAID];
        uint32_t count = sink->rate / VP_TICKS_PER_SECOND;
        if (!(sink->sides & side) || !vp_resampler_fits(resampler, audio->rate, sink->rate))
            continue;
        vp_resample(resampler, samples ? samples : silence, vp_audio_samples(audio), resampled);
        sink->take(sink, side, resampled, count, audio->tick);
    }
}

/* The first half of a tick: `frame` becomes what the far side says now, and its listeners get it. */
static inline void vp_audio_listen(vp_audio *audio, vp_audio_counters *counters, uint64_t now) {
    audio->is_heard = vp_intake_take(&audio->heard, &counters->heard, now, audio->frame);
    if (!audio->is_heard)
        memset(audio->frame, 0, vp_audio_samples(audio) * sizeof *audio->frame);
    audio->has_said = false;
    audio->tick++;
    vp_audio_tell(audio, VP_HEARD, audio->frame);
}

/* Samples of this tick for the far side: they wait for their packet, and the listeners get them. */
static inline void vp_audio_say(vp_audio *audio, const int16_t *samples) {
    uint32_t most = audio->encoder.format.rate / 1000 * VP_PACKET_MS_MAX;
    audio->has_said = audio->says = true;
    if (audio->waiting <= most)
        audio->waiting += vp_resample(&audio->outlet, samples, vp_audio_samples(audio), audio->pending + audio->waiting);
    vp_audio_tell(audio, VP_SAID, samples);
}

/* As vp_audio_say, for one of many who hear the same `samples` and whose packets are made elsewhere. */
static inline void vp_audio_say_shared(vp_audio *audio, const int16_t *samples) {
    audio->has_said = audio->says = true;
    audio->waiting = 0;
    vp_audio_tell(audio, VP_SAID, samples);
}

/* The header of a packet that was made elsewhere: 0 when its time passes without one. */
static inline uint32_t vp_audio_shared_packet(vp_audio *audio, int length, vp_rtp *rtp) {
    const vp_format *format = &audio->encoder.format;
    *rtp = (vp_rtp){.timestamp = audio->timestamp, .sequence = audio->sequence, .payload_type = format->payload_type,
                    .payload_length = (uint16_t)(length > 0 ? length : 0), .marker = audio->skipped};
    audio->timestamp += format->clock_rate / 1000 * format->ptime_ms;
    audio->skipped = length <= 0;
    audio->sequence = (uint16_t)(audio->sequence + (length > 0));
    return rtp->payload_length;
}

/* Nothing is said at this tick: what comes next is a new start, with the time that passed in its timestamp. */
static inline void vp_audio_pause(vp_audio *audio) {
    if (audio->has_encoder && audio->says)
        audio->epoch++;
    audio->says = false;
    audio->waiting = 0;
}

/* At the end of a tick, when nothing was encoded in it: what a relay or a prompt sent, for those who want to know. */
static inline void vp_audio_overhear(vp_audio *audio, vp_audio_counters *counters, uint64_t now) {
    int16_t frame[VP_PCM_FRAME];
    bool is_said = audio->said && vp_intake_take(audio->said, &counters->said, now, frame);
    if (!audio->has_said && audio->sinks)
        vp_audio_tell(audio, VP_SAID, is_said ? frame : NULL);
}

/* What the source has to say at this tick, at this audio's rate; false when there is none. */
static inline bool vp_audio_ask_source(vp_audio *audio, int16_t *frame) {
    int16_t given[VP_PCM_FRAME];
    vp_source *source = audio->source;
    if (!source || !vp_resampler_fits(&source->resampler, source->rate, audio->rate))
        return false;
    uint32_t count = source->rate / VP_TICKS_PER_SECOND;
    if (!source->give(source, given, count))
        return false;
    return vp_resample(&source->resampler, given, count, frame) == vp_audio_samples(audio);
}

/* The packet that is full is a pause: comfort noise when it is time for some, else nothing. */
static inline uint32_t vp_audio_quiet_packet(vp_audio *audio, uint32_t count, uint8_t *payload, vp_rtp *rtp) {
    const vp_format *format = &audio->encoder.format;
    audio->waiting -= count;
    memmove(audio->pending, audio->pending + count, audio->waiting * sizeof *audio->pending);
    uint16_t length = vp_silence_tell(&audio->silence, payload);
    *rtp = (vp_rtp){.timestamp = audio->timestamp, .sequence = audio->sequence,
                    .payload_type = audio->silence.payload_type, .payload_length = length};
    audio->timestamp += format->clock_rate / 1000 * format->ptime_ms;
    audio->sequence = (uint16_t)(audio->sequence + length);
    audio->skipped = true;
    return length;
}

static inline uint32_t vp_audio_packet_samples(const vp_audio *audio) {
    return audio->encoder.format.rate / 1000 * audio->encoder.format.ptime_ms;
}

/* Whether a packet is due. Its time passes with vp_audio_packet, also when silence needs none. */
static inline bool vp_audio_is_due(const vp_audio *audio) {
    return audio->has_encoder && audio->waiting >= vp_audio_packet_samples(audio);
}

/* The packet of `rtp` did not leave: nobody is to miss its number. */
static inline void vp_audio_unsent(vp_audio *audio, const vp_rtp *rtp) {
    audio->sequence = rtp->sequence;
    audio->skipped = true;
}

/* One packet of what waits, when it is full: payload and header fields; 0 when none is due. */
static inline uint32_t vp_audio_packet(vp_audio *audio, vp_audio_counters *counters, uint8_t *payload, vp_rtp *rtp) {
    const vp_format *format = &audio->encoder.format;
    uint32_t count = vp_audio_packet_samples(audio);
    if (!vp_audio_is_due(audio))
        return 0;
    if (audio->silence.enabled && vp_silence_take(&audio->silence, audio->pending, count, format->ptime_ms))
        return vp_audio_quiet_packet(audio, count, payload, rtp);
    int length = vp_encode(&audio->encoder, audio->pending, count, payload);
    audio->waiting -= count;
    memmove(audio->pending, audio->pending + count, audio->waiting * sizeof *audio->pending);
    *rtp = (vp_rtp){.timestamp = audio->timestamp, .sequence = audio->sequence, .payload_type = format->payload_type,
                    .payload_length = (uint16_t)(length < 0 ? 0 : length)};
    audio->timestamp += format->clock_rate / 1000 * format->ptime_ms;
    rtp->marker = audio->skipped; /* RFC 3551 §4.1: the first packet after silence */
    audio->skipped = length <= 0;
    if (length <= 0)
        return 0;
    audio->sequence++;
    VP_ADD(counters->encoded, 1);
    return (uint32_t)length;
}

#endif
