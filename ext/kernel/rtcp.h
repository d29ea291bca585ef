/* RTCP (RFC 3550 §6): compounds in, sender and receiver reports with CNAME out. */
#ifndef VP_RTCP_H
#define VP_RTCP_H

#include "rtp.h"
#include "stream.h"

enum { VP_RTCP_SR = 200, VP_RTCP_RR = 201, VP_RTCP_SDES = 202, VP_RTCP_BYE = 203 };
enum { VP_RTCP_MAX = 128, VP_REPORT_BLOCK = 24, VP_CNAME = 20 };

/* Seconds from 1900 to 1970. */
#define VP_NTP_EPOCH 2208988800ULL

/* Sender reports of ours that a report of the peer may answer; and the most jitter (RTP units) that is believed: that of
 * streams which VP_JUMP_SECONDS would break, at 48 kHz. RTCP is not authenticated: what it claims is held to what can be. */
enum { VP_SR_KEPT = 4, VP_REMOTE_JITTER_MAX = VP_JUMP_SECONDS * 48000 };

/* What the peer said about what we send, and what we must echo to it. */
typedef struct {
    uint64_t sent_at[VP_SR_KEPT]; /* our sender reports, newest at sent_next - 1; 0: none */
    uint32_t sent_middle[VP_SR_KEPT];
    uint8_t sent_next;
    uint64_t sr_arrived; /* 0: no sender report yet */
    uint32_t sr_middle;  /* the middle 32 bits of its NTP time */
    uint32_t sr_ssrc;
    uint32_t remote_jitter; /* RTP units */
    uint32_t remote_reports;
    uint32_t rtt;           /* units of 1/65536 s; 0: unknown */
    int32_t remote_lost;
    uint8_t remote_fraction; /* of 256 */
    bool bye;
} vp_rtcp;

static inline uint64_t vp_ntp(uint64_t wallclock) {
    uint64_t seconds = wallclock / VP_SECOND + VP_NTP_EPOCH;
    return seconds << 32 | ((wallclock % VP_SECOND) << 32) / VP_SECOND;
}

/* Lengths that add up to the datagram, version 2 in each part (RFC 3550 A.2; reduced size of RFC 5506 allowed). */
static inline bool vp_rtcp_valid(const uint8_t *packet, size_t length) {
    if (length < 8 || length % 4 || packet[1] < 192 || packet[1] > 223)
        return false;
    size_t at = 0;
    while (at + 4 <= length) {
        if ((packet[at] >> 6) != 2)
            return false;
        at += 4 * ((size_t)vp_get16(packet + at + 2) + 1);
    }
    return at == length;
}

static inline void vp_rtcp_sent(vp_rtcp *rtcp, uint32_t middle, uint64_t now) {
    rtcp->sent_middle[rtcp->sent_next] = middle;
    rtcp->sent_at[rtcp->sent_next] = now;
    rtcp->sent_next = (uint8_t)((rtcp->sent_next + 1) % VP_SR_KEPT);
}

/* RFC 3550 §6.4.1: round trip = arrival - last SR - delay since last SR. By our monotonic clock, from a report that we
 * sent: a clock that was set changes nothing, and the most that can be claimed is the time since that report. */
static inline void vp_rtcp_round_trip(vp_rtcp *rtcp, uint32_t last_sr, uint32_t delay, uint64_t now) {
    for (int i = 0; i < VP_SR_KEPT; i++) {
        if (!rtcp->sent_at[i] || rtcp->sent_middle[i] != last_sr)
            continue;
        uint64_t passed = (now - rtcp->sent_at[i]) * 65536 / VP_SECOND;
        if (delay <= passed)
            VP_SET(rtcp->rtt, (uint32_t)(passed - delay ? passed - delay : 1));
        return;
    }
}

static inline void vp_rtcp_block(vp_rtcp *rtcp, const uint8_t *block, uint64_t now, uint64_t packets_sent) {
    int32_t lost = (int32_t)vp_get24(block + 5);
    uint32_t jitter = vp_get32(block + 12);
    lost = lost & 0x800000 ? lost - 0x1000000 : lost;
    if (lost > 0 && (uint64_t)lost > packets_sent)
        lost = (int32_t)packets_sent;
    VP_SET(rtcp->remote_fraction, block[4]);
    VP_SET(rtcp->remote_lost, lost);
    VP_SET(rtcp->remote_jitter, jitter < VP_REMOTE_JITTER_MAX ? jitter : VP_REMOTE_JITTER_MAX);
    VP_SET(rtcp->remote_reports, rtcp->remote_reports + 1);
    vp_rtcp_round_trip(rtcp, vp_get32(block + 16), vp_get32(block + 20), now);
}

static inline void vp_rtcp_part(
    vp_rtcp *rtcp, const uint8_t *part, size_t length, uint32_t our_ssrc, uint64_t now, uint64_t packets_sent
) {
    size_t at = part[1] == VP_RTCP_SR ? 28 : 8;
    unsigned blocks = part[0] & 0x1f;
    if (part[1] == VP_RTCP_BYE)
        rtcp->bye = true;
    if ((part[1] != VP_RTCP_SR && part[1] != VP_RTCP_RR) || at > length)
        return;
    if (part[1] == VP_RTCP_SR) {
        rtcp->sr_arrived = now;
        rtcp->sr_ssrc = vp_get32(part + 4);
        rtcp->sr_middle = vp_get32(part + 10);
    }
    for (; blocks && at + VP_REPORT_BLOCK <= length; blocks--, at += VP_REPORT_BLOCK)
        if (vp_get32(part + at) == our_ssrc)
            vp_rtcp_block(rtcp, part + at, now, packets_sent);
}

/* Takes a compound; -1 when it is none. */
static inline int vp_rtcp_receive(
    vp_rtcp *rtcp, const uint8_t *packet, size_t length, uint32_t our_ssrc, uint64_t now, uint64_t packets_sent
) {
    if (!vp_rtcp_valid(packet, length))
        return -1;
    for (size_t at = 0; at < length;) {
        size_t size = 4 * ((size_t)vp_get16(packet + at + 2) + 1);
        vp_rtcp_part(rtcp, packet + at, size, our_ssrc, now, packets_sent);
        at += size;
    }
    return 0;
}

static inline void vp_rtcp_head(uint8_t *part, int count, int type, size_t length) {
    part[0] = (uint8_t)(0x80 | count);
    part[1] = (uint8_t)type;
    vp_put16(part + 2, (uint16_t)(length / 4 - 1));
}

/* RFC 3550 A.3; the interval starts anew with each block written. */
static inline size_t vp_rtcp_write_block(uint8_t *block, vp_stream *stream, const vp_rtcp *rtcp, uint64_t now) {
    uint32_t expected = stream->highest - stream->base + 1;
    int64_t lost = (int64_t)expected - stream->received;
    uint32_t expected_interval = expected - stream->expected_before;
    int64_t lost_interval = (int64_t)expected_interval - (int64_t)(stream->received - stream->received_before);
    bool has_loss = expected_interval && lost_interval > 0;
    stream->expected_before = expected;
    stream->received_before = stream->received;
    lost = lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
    bool has_sr = rtcp->sr_arrived && rtcp->sr_ssrc == stream->ssrc;
    vp_put32(block, stream->ssrc);
    vp_put32(block + 4, (uint32_t)lost & 0xffffff);
    block[4] = has_loss ? (uint8_t)(lost_interval * 255 / expected_interval) : 0;
    vp_put32(block + 8, stream->highest);
    vp_put32(block + 12, stream->jitter >> 4);
    vp_put32(block + 16, has_sr ? rtcp->sr_middle : 0);
    vp_put32(block + 20, has_sr ? (uint32_t)((now - rtcp->sr_arrived) * 65536 / VP_SECOND) : 0);
    return VP_REPORT_BLOCK;
}

/* Every compound carries SDES with CNAME (§6.1): 20 characters made of `seed`, random in production (RFC 7022). */
static inline size_t vp_rtcp_write_sdes(uint8_t *part, uint32_t ssrc, const uint8_t seed[VP_CNAME / 2]) {
    static const char hex[] = "0123456789abcdef";
    enum { LENGTH = 4 + 4 + 2 + VP_CNAME + 2 };
    vp_rtcp_head(part, 1, VP_RTCP_SDES, LENGTH);
    vp_put32(part + 4, ssrc);
    part[8] = 1;
    part[9] = VP_CNAME;
    for (int i = 0; i < VP_CNAME; i++)
        part[10 + i] = (uint8_t)hex[i % 2 ? seed[i / 2] & 15 : seed[i / 2] >> 4];
    part[10 + VP_CNAME] = part[11 + VP_CNAME] = 0;
    return LENGTH;
}

static inline size_t vp_rtcp_write_bye(uint8_t *part, uint32_t ssrc) {
    vp_rtcp_head(part, 1, VP_RTCP_BYE, 8);
    vp_put32(part + 4, ssrc);
    return 8;
}

#endif
