/* What arrives on a port: sequence check and loss (RFC 3550 A.1, A.3), jitter (A.8), breaks in the stream.
 *
 * `epoch` counts the breaks: another SSRC, a sequence restarted, a timestamp that jumped. Who forwards the stream
 * compares it, so that its own sequence and timestamp run on over every break.
 */
#ifndef VP_STREAM_H
#define VP_STREAM_H

#include "rtp.h"

enum {
    VP_MAX_DROPOUT = 3000, /* RFC 3550 A.1 */
    VP_MAX_MISORDER = 100,
    VP_JUMP_SECONDS = 3, /* a timestamp further than this from its time of arrival is a new start, not jitter */
};

/* A packet of the SSRC that was just replaced is a straggler for so long, not a switch back. */
#define VP_STRAGGLER_TIME (100 * VP_MILLISECOND)

typedef struct {
    uint32_t ssrc;
    uint32_t previous_ssrc;
    uint32_t base;       /* extended sequence of the first packet */
    uint32_t highest;    /* extended sequence: cycles << 16 | sequence */
    uint32_t bad;        /* the sequence that would confirm a new start; > 0xffff when none is awaited */
    uint32_t bad_ssrc;   /* and its SSRC */
    uint32_t received;   /* of this SSRC */
    uint32_t expected_before, received_before; /* at the last report */
    int64_t lost_before; /* of streams that this one replaced */
    uint32_t transit;
    uint32_t jitter;     /* RTP units, scaled by 16 as in A.8 */
    uint32_t epoch;
    uint64_t started;
    bool active, has_transit;
} vp_stream;

typedef enum { VP_STREAM_OK, VP_STREAM_LATE, VP_STREAM_JUMP } vp_stream_verdict;

static inline int64_t vp_stream_lost(const vp_stream *stream) {
    if (!stream->active)
        return stream->lost_before;
    return stream->lost_before + (int64_t)(stream->highest - stream->base + 1) - (int64_t)stream->received;
}

static inline void vp_stream_start(vp_stream *stream, const vp_rtp *rtp, uint64_t now) {
    stream->lost_before = vp_stream_lost(stream);
    stream->previous_ssrc = stream->ssrc;
    stream->ssrc = rtp->ssrc;
    stream->base = stream->highest = rtp->sequence;
    stream->bad = UINT32_MAX;
    stream->received = stream->expected_before = stream->received_before = 0;
    stream->has_transit = false;
    stream->epoch++;
    stream->started = now;
    stream->active = true;
}

/* A new start needs a second packet that continues the first: one stray packet must not cost the stream (A.1). */
static inline bool vp_stream_confirmed(vp_stream *stream, const vp_rtp *rtp) {
    if (rtp->ssrc == stream->bad_ssrc && rtp->sequence == stream->bad)
        return true;
    stream->bad = (uint16_t)(rtp->sequence + 1);
    stream->bad_ssrc = rtp->ssrc;
    return false;
}

/* In order or nearly so: count the cycle. */
static inline vp_stream_verdict vp_stream_sequence(vp_stream *stream, const vp_rtp *rtp, uint64_t now) {
    uint16_t ahead = (uint16_t)(rtp->sequence - (uint16_t)stream->highest);
    if (ahead < VP_MAX_DROPOUT) {
        stream->highest += ahead;
    } else if (ahead <= 65536 - VP_MAX_MISORDER) {
        if (!vp_stream_confirmed(stream, rtp))
            return VP_STREAM_JUMP;
        vp_stream_start(stream, rtp, now);
        return VP_STREAM_OK;
    }
    stream->bad = UINT32_MAX;
    return VP_STREAM_OK;
}

/* A.8, with a jump of the timestamp taken as a new start and not as jitter. */
static inline void vp_stream_timing(vp_stream *stream, const vp_rtp *rtp, uint64_t now, uint32_t clock_rate) {
    uint32_t arrival = vp_rtp_time(now, clock_rate);
    uint32_t transit = arrival - rtp->timestamp;
    int32_t moved = (int32_t)(transit - stream->transit);
    uint32_t distance = moved < 0 ? 0u - (uint32_t)moved : (uint32_t)moved;
    stream->transit = transit;
    if (!stream->has_transit) {
        stream->has_transit = true;
    } else if (distance > VP_JUMP_SECONDS * clock_rate) {
        stream->epoch++;
    } else {
        VP_SET(stream->jitter, stream->jitter + distance - ((stream->jitter + 8) >> 4));
    }
}

/* `timed` is false for telephone-events: their timestamp stands still for the whole event (RFC 4733 §2.2). */
static inline vp_stream_verdict vp_stream_receive(
    vp_stream *stream, const vp_rtp *rtp, uint64_t now, uint32_t clock_rate, bool timed
) {
    if (!stream->active || rtp->ssrc != stream->ssrc) {
        if (stream->active && rtp->ssrc == stream->previous_ssrc && now - stream->started < VP_STRAGGLER_TIME)
            return VP_STREAM_LATE;
        if (stream->active && !vp_stream_confirmed(stream, rtp))
            return VP_STREAM_JUMP;
        vp_stream_start(stream, rtp, now);
    } else {
        vp_stream_verdict verdict = vp_stream_sequence(stream, rtp, now);
        if (verdict != VP_STREAM_OK)
            return verdict;
    }
    stream->received++;
    if (timed)
        vp_stream_timing(stream, rtp, now, clock_rate);
    return VP_STREAM_OK;
}

#endif
