/* The RTP header (RFC 3550 §5.1): read with every length checked, rewritten in place. */
#ifndef VP_RTP_H
#define VP_RTP_H

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

enum { VP_RTP_HEADER = 12, VP_MAX_PACKET = 2048 };

typedef struct {
    const uint8_t *payload; /* inside the packet that was parsed; padding is not counted */
    uint32_t timestamp;
    uint32_t ssrc;
    uint16_t payload_length;
    uint16_t sequence;
    uint8_t payload_type;
    bool marker;
} vp_rtp;

/* Nanoseconds in units of a clock, modulo 2^32; in two parts, since a division of 128 bits costs 30 ns. */
static inline uint32_t vp_rtp_time(uint64_t now, uint32_t clock_rate) {
    return (uint32_t)(now / VP_SECOND * clock_rate + now % VP_SECOND * clock_rate / VP_SECOND);
}

/* RFC 5761 §4: second byte 192..223 (payload types 64..95 with the marker masked) is RTCP, never RTP. */
static inline bool vp_is_rtcp(const uint8_t *packet, size_t length) {
    return length >= 8 && (packet[0] >> 6) == 2 && packet[1] >= 192 && packet[1] <= 223;
}

/* What a datagram is by its first octet (RFC 7983 §7). */
typedef enum { VP_KIND_RTP, VP_KIND_STUN, VP_KIND_DTLS, VP_KIND_OTHER } vp_kind;

static inline vp_kind vp_kind_of(const uint8_t *packet, size_t length) {
    if (length == 0)
        return VP_KIND_OTHER;
    if (packet[0] >= 128 && packet[0] <= 191)
        return VP_KIND_RTP;
    if (packet[0] >= 20 && packet[0] <= 63)
        return VP_KIND_DTLS;
    return packet[0] <= 3 ? VP_KIND_STUN : VP_KIND_OTHER;
}

/* 0, or -1 when `packet` is no RTP. */
static inline int vp_rtp_parse(vp_rtp *rtp, const uint8_t *packet, size_t length) {
    if (length < VP_RTP_HEADER || length > VP_MAX_PACKET || (packet[0] >> 6) != 2)
        return -1;
    size_t start = VP_RTP_HEADER + 4 * (size_t)(packet[0] & 0x0f);
    if (packet[0] & 0x10) {
        if (start + 4 > length)
            return -1;
        start += 4 + 4 * (size_t)vp_get16(packet + start + 2);
    }
    if (start > length)
        return -1;
    size_t padding = packet[0] & 0x20 ? packet[length - 1] : 0;
    if (packet[0] & 0x20 && (padding == 0 || start + padding > length))
        return -1;
    rtp->payload = packet + start;
    rtp->payload_length = (uint16_t)(length - start - padding);
    rtp->payload_type = packet[1] & 0x7f;
    rtp->marker = packet[1] >> 7;
    rtp->sequence = vp_get16(packet + 2);
    rtp->timestamp = vp_get32(packet + 4);
    rtp->ssrc = vp_get32(packet + 8);
    return 0;
}

/* The fixed header is replaced; CSRC list, extension, padding and payload stay as they came. */
static inline void vp_rtp_rewrite(uint8_t *packet, const vp_rtp *rtp) {
    packet[1] = (uint8_t)(rtp->payload_type | (rtp->marker ? 0x80 : 0));
    vp_put16(packet + 2, rtp->sequence);
    vp_put32(packet + 4, rtp->timestamp);
    vp_put32(packet + 8, rtp->ssrc);
}

#endif
