/* Digits of telephone-events (RFC 4733) as they pass: one report for one event, however its packets fare.
 *
 * The key of an event is (SSRC, timestamp, event). It is reported at its first end packet; when every end packet is
 * lost, at the start of the next event or after VP_DTMF_SILENCE. A start without marker counts like any other. Events
 * longer than 0xffff units come in segments (§2.5.1.3), which are one digit.
 */
#ifndef VP_DTMF_H
#define VP_DTMF_H

#include "rtp.h"

#define VP_DTMF_SILENCE (200 * VP_MILLISECOND)

/* A timestamp this far behind (seconds) is a restarted clock, not an old packet. */
enum { VP_DTMF_RESTART_SECONDS = 10, VP_DTMF_LAST_DIGIT = 15 };

typedef struct {
    uint64_t heard; /* when the last packet of the current event came */
    uint32_t ssrc;
    uint32_t timestamp; /* of the current or the last event */
    uint32_t duration;  /* of the current segment */
    uint32_t before;    /* of the segments before it */
    uint8_t event;
    uint32_t started;   /* events whose first packet has come */
    bool active, known; /* an event is under way; a timestamp is known */
} vp_dtmf;

typedef struct {
    uint8_t event;
    uint32_t duration; /* RTP units */
} vp_digit;

static inline int vp_dtmf_finish(vp_dtmf *dtmf, vp_digit *digit) {
    digit->event = dtmf->event;
    digit->duration = dtmf->before + dtmf->duration;
    dtmf->active = false;
    return 1;
}

static inline bool vp_dtmf_is_segment(const vp_dtmf *dtmf, const vp_rtp *rtp, uint8_t event) {
    return dtmf->active && dtmf->event == event && rtp->timestamp == dtmf->timestamp + 0xffff
        && dtmf->duration >= 0x8000;
}

static inline bool vp_dtmf_is_old(const vp_dtmf *dtmf, const vp_rtp *rtp, uint32_t clock_rate) {
    int32_t ahead = (int32_t)(rtp->timestamp - dtmf->timestamp);
    return dtmf->known && dtmf->ssrc == rtp->ssrc && ahead < 0 && ahead > -(int64_t)VP_DTMF_RESTART_SECONDS * clock_rate;
}

/* A packet of the current event. */
static inline int vp_dtmf_continue(vp_dtmf *dtmf, vp_digit *digit, uint16_t duration, bool end, uint64_t now) {
    if (!dtmf->active)
        return 0;
    dtmf->heard = now;
    if (duration > dtmf->duration)
        dtmf->duration = duration;
    return end ? vp_dtmf_finish(dtmf, digit) : 0;
}

/* Takes one telephone-event packet; the number of digits that it completed (0, 1 or 2) is returned in `digits`. */
static inline int vp_dtmf_receive(vp_dtmf *dtmf, const vp_rtp *rtp, uint64_t now, uint32_t clock_rate, vp_digit digits[2]) {
    if (rtp->payload_length < 4 || rtp->payload[0] > VP_DTMF_LAST_DIGIT)
        return 0;
    uint8_t event = rtp->payload[0];
    bool end = rtp->payload[1] >> 7;
    uint16_t duration = vp_get16(rtp->payload + 2);
    if (dtmf->known && dtmf->ssrc == rtp->ssrc && dtmf->timestamp == rtp->timestamp && dtmf->event == event)
        return vp_dtmf_continue(dtmf, digits, duration, end, now);
    if (vp_dtmf_is_old(dtmf, rtp, clock_rate))
        return 0;
    int count = 0;
    uint32_t before = 0, started = dtmf->started;
    if (vp_dtmf_is_segment(dtmf, rtp, event)) {
        before = dtmf->before + 0xffff;
    } else {
        started++;
        if (dtmf->active)
            count = vp_dtmf_finish(dtmf, digits);
    }
    *dtmf = (vp_dtmf){.heard = now, .ssrc = rtp->ssrc, .timestamp = rtp->timestamp, .duration = duration,
                      .before = before, .started = started, .event = event, .active = true, .known = true};
    return end ? count + vp_dtmf_finish(dtmf, digits + count) : count;
}

/* 1 when the event under way has been silent for too long: its end packets were lost. */
static inline int vp_dtmf_timeout(vp_dtmf *dtmf, uint64_t now, vp_digit *digit) {
    return dtmf->active && now - dtmf->heard >= VP_DTMF_SILENCE ? vp_dtmf_finish(dtmf, digit) : 0;
}

#endif
