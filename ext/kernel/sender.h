/* What leaves a port: one SSRC for its whole life, with sequence and timestamp that run on whatever feeds it.
 *
 * Loss and reordering of a source pass through unchanged, so that the far end sees the line as it is; a change of source
 * gets the next sequence number, a timestamp moved by the time that passed, and the marker.
 */
#ifndef VP_SENDER_H
#define VP_SENDER_H

#include "rtp.h"

/* Packets further behind than this are older than the last switch of source may be. */
enum { VP_LATE_SPAN = 1000 };

typedef struct {
    uint64_t last_sent; /* 0: nothing sent yet */
    uint32_t ssrc;
    uint32_t timestamp; /* of the newest packet; before the first one: what it will get */
    uint32_t timestamp_offset;
    uint32_t source, source_epoch;
    uint16_t sequence; /* likewise */
    uint16_t floor;    /* nothing below it may be sent: it belongs to the source before */
    uint16_t sequence_offset;
    bool has_source;
} vp_sender;

static inline void vp_sender_switch(
    vp_sender *sender, const vp_rtp *rtp, uint32_t source, uint32_t epoch, uint64_t now, uint32_t clock_rate
) {
    uint16_t sequence = sender->sequence;
    uint32_t timestamp = sender->timestamp;
    if (sender->last_sent) {
        /* At least a frame of 20 ms: two frames at one timestamp are one to the far end. */
        uint64_t passed = now - sender->last_sent, frame = 20 * VP_MILLISECOND;
        sequence++;
        timestamp += vp_rtp_time(passed > frame ? passed : frame, clock_rate);
    }
    sender->sequence_offset = (uint16_t)(sequence - rtp->sequence);
    sender->timestamp_offset = timestamp - rtp->timestamp;
    sender->floor = sequence;
    sender->source = source;
    sender->source_epoch = epoch;
    sender->has_source = true;
}

/* Something of this source is not sent: its numbers run on meanwhile, and what comes next is a switch of source. Otherwise
 * the far side would miss all that rested, and of more than 32768 packets SRTP would lose its rollover counter. */
static inline void vp_sender_rest(vp_sender *sender, uint32_t source) {
    if (sender->source == source)
        sender->has_source = false;
}

/* Gives `rtp` the sender's identity; -1 when the packet is too late to be sent. `source` names who feeds the sender. */
static inline int vp_sender_stamp(
    vp_sender *sender, vp_rtp *rtp, uint32_t source, uint32_t epoch, uint64_t now, uint32_t clock_rate
) {
    if (!sender->has_source || sender->source != source || sender->source_epoch != epoch) {
        vp_sender_switch(sender, rtp, source, epoch, now, clock_rate);
        rtp->marker = true;
    }
    rtp->sequence = (uint16_t)(rtp->sequence + sender->sequence_offset);
    rtp->timestamp += sender->timestamp_offset;
    rtp->ssrc = sender->ssrc;
    if ((int16_t)(rtp->sequence - sender->floor) < 0)
        return -1;
    if (!sender->last_sent || (int16_t)(rtp->sequence - sender->sequence) > 0) {
        sender->sequence = rtp->sequence;
        sender->timestamp = rtp->timestamp;
        if ((int16_t)(sender->sequence - sender->floor) > VP_LATE_SPAN)
            sender->floor = (uint16_t)(sender->sequence - VP_LATE_SPAN);
    }
    sender->last_sent = now;
    return 0;
}

#endif
