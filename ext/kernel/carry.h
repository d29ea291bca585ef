/* A port that carries what is no audio of ours (video, text, fax) to its peer: each datagram as it came, RTCP as well.
 *
 *   RTP socket ─▶ (open SRTP) ─▶ latch ─▶ flood ─▶ peer's RTP address
 *   RTCP       ─▶ (open SRTCP) ─▶ host  ─▶ flood ─▶ peer's RTCP address
 *
 * SSRC, sequence, timestamps and feedback stay those of the two far sides, who talk about each other's streams. The port
 * says nothing of itself: no report, no event of silence.
 */
#ifndef VP_CARRY_H
#define VP_CARRY_H

#include "receive.h"
#include "report.h"

/* Packets that a port takes in VP_RATE_WINDOW: a key frame of 1 MB at once, or some 80 Mbit/s. */
enum { VP_CARRY_LIMIT = 800 };

static inline bool vp_carry_floods(vp_port *port, uint64_t now) {
    if (now - port->rate_window >= VP_RATE_WINDOW) {
        port->rate_window = now;
        port->rate_count = 0;
    }
    if (++port->rate_count <= VP_CARRY_LIMIT)
        return false;
    vp_count_drop(port, VP_DROP_FLOOD);
    return true;
}

/* What the latch asks of a packet. UDPTL (T.38) begins with a sequence number and has no SSRC. */
static inline bool vp_carry_parse(const vp_port *port, const uint8_t *packet, size_t length, vp_rtp *rtp) {
    if (port->carries == VP_CARRIES_RTP)
        return vp_rtp_parse(rtp, packet, length) == 0;
    memset(rtp, 0, sizeof *rtp);
    if (length < 4)
        return false;
    rtp->sequence = vp_get16(packet);
    rtp->payload_length = (uint16_t)length;
    return true;
}

/* Where the packet goes on; NULL (counted) when nowhere. */
static inline vp_port *vp_carry_next(vp_port *port) {
    vp_port *out = port->peer;
    if (!out || !out->carries) {
        vp_count_drop(port, VP_DROP_NO_ROUTE);
        return NULL;
    }
    if (!vp_latch_destination(&out->latch)) {
        vp_count_drop(port, VP_DROP_NO_DESTINATION);
        return NULL;
    }
    return out;
}

static inline vp_port *vp_carry_rtcp(
    vp_port *port, vp_context *context, uint8_t *packet, size_t *length, const vp_address *source, vp_address *to
) {
    if (!vp_port_rtcp_admits(port, source)) {
        vp_count_drop(port, VP_DROP_RTCP_FOREIGN);
        return NULL;
    }
    if (vp_carry_floods(port, context->now) || !vp_port_opens_rtcp(port, packet, length))
        return NULL;
    if (!vp_rtcp_valid(packet, *length)) {
        vp_count_drop(port, VP_DROP_RTCP_JUNK);
        return NULL;
    }
    port->rtcp_source = *source;
    VP_ADD(port->counters.rtcp_in, 1);
    vp_port *out = vp_carry_next(port);
    if (!out || !vp_port_rtcp_destination(out, to))
        return NULL;
    VP_ADD(out->counters.rtcp_out, 1);
    return out;
}

static inline vp_port *vp_carry_media(
    vp_port *port, vp_context *context, uint8_t *packet, size_t *length, const vp_address *source
) {
    vp_rtp rtp;
    if (port->srtp.state != VP_CRYPTO_OFF && *length >= VP_RTP_HEADER
        && !vp_port_opens(port, context, packet, length, source))
        return NULL;
    if (!vp_carry_parse(port, packet, *length, &rtp)) {
        vp_count_drop(port, VP_DROP_NOT_RTP);
        return NULL;
    }
    if (!vp_port_admits(port, context, source, &rtp) || vp_carry_floods(port, context->now))
        return NULL;
    VP_ADD(port->counters.packets_in, 1);
    VP_ADD(port->counters.octets_in, rtp.payload_length);
    vp_port *out = vp_carry_next(port);
    if (out && out->held) {
        vp_count_drop(port, VP_DROP_HELD);
        return NULL;
    }
    if (out) {
        VP_ADD(out->counters.packets_out, 1);
        VP_ADD(out->counters.octets_out, rtp.payload_length);
    }
    return out;
}

/* Takes a datagram of either socket. Returns the port that must send it, in the clear, with its length in `size`, and in
 * `rtcp` whether as RTCP, then with its destination in `to`; or NULL. Whatever the bytes are, they are carried on or
 * counted as dropped. */
static inline vp_port *vp_carry_receive(
    vp_port *port, vp_context *context, uint8_t *packet, size_t *size, const vp_address *source, int *rtcp, vp_address *to
) {
    bool is_rtp = port->carries == VP_CARRIES_RTP;
    vp_kind kind = vp_kind_of(packet, *size);
    if (*rtcp && !is_rtp) {
        vp_count_drop(port, VP_DROP_RTCP_JUNK);
        return NULL;
    }
    if (is_rtp && !*rtcp && kind != VP_KIND_RTP) {
        vp_port_receive_other(port, context, packet, *size, source, kind);
        return NULL;
    }
    *rtcp |= is_rtp && vp_is_rtcp(packet, *size);
    if (*rtcp)
        return vp_carry_rtcp(port, context, packet, size, source, to);
    return vp_carry_media(port, context, packet, size, source);
}

#endif
