/* What arrives at a port: opened, admitted, measured, and given the identity of who sends it on. */
#ifndef VP_RECEIVE_H
#define VP_RECEIVE_H

#include "port.h"

/* The latched source is another one now: its stream starts with this packet, and its RTCP is to be learnt again too. */
static inline void vp_port_latched(vp_port *port, vp_context *context, const vp_rtp *rtp) {
    port->stream.bad_ssrc = rtp->ssrc;
    port->stream.bad = rtp->sequence;
    vp_event event = {.port = port->id, .kind = VP_EVENT_LATCHED, .address = port->latch.source};
    memset(&port->rtcp_source, 0, sizeof port->rtcp_source);
    vp_publish_source(port, &port->latch.source);
    vp_post(context, &event);
}

static inline bool vp_port_admits(vp_port *port, vp_context *context, const vp_address *source, const vp_rtp *rtp) {
    if (!vp_port_accepts(port, rtp->payload_type)) {
        /* RFC 6263 §4.6: a phone that has nothing to say may keep its binding with a payload type that is none. */
        if (port->latch.rank != VP_RANK_NONE && vp_address_equal(source, &port->latch.source))
            vp_port_heard(port, context->now);
        vp_count_drop(port, VP_DROP_PAYLOAD_TYPE);
        return false;
    }
    switch (vp_latch_check(&port->latch, source, rtp, context->now, port->srtp.state == VP_CRYPTO_ON)) {
    case VP_LATCH_NEW:
        vp_port_latched(port, context, rtp);
        return true;
    case VP_LATCH_ACCEPT:
        return true;
    case VP_LATCH_LEARNING:
        vp_count_drop(port, VP_DROP_LEARNING);
        return false;
    default:
        vp_count_drop(port, VP_DROP_FOREIGN);
        return false;
    }
}

/* Of the admitted source alone: a stranger's packets must not use up the phone's share. */
static inline bool vp_port_floods(vp_port *port, uint64_t now) {
    if (now - port->rate_window >= VP_RATE_WINDOW) {
        port->rate_window = now;
        port->rate_count = 0;
    }
    return ++port->rate_count > VP_RATE_LIMIT;
}

static inline bool vp_port_measures(vp_port *port, vp_context *context, const vp_rtp *rtp) {
    if (vp_port_floods(port, context->now)) {
        vp_count_drop(port, VP_DROP_FLOOD);
        return false;
    }
    bool is_event = port->telephone_event == rtp->payload_type;
    vp_stream_verdict verdict = vp_stream_receive(&port->stream, rtp, context->now, port->clock_rate, !is_event);
    vp_port_heard(port, context->now);
    if (verdict != VP_STREAM_OK) {
        vp_count_drop(port, verdict == VP_STREAM_LATE ? VP_DROP_LATE : VP_DROP_JUMP);
        return false;
    }
    VP_ADD(port->counters.packets_in, 1);
    VP_ADD(port->counters.octets_in, rtp->payload_length);
    VP_SET(port->counters.lost, vp_stream_lost(&port->stream));
    if (is_event) {
        vp_digit digits[2];
        uint32_t started = port->dtmf.started;
        int count = vp_dtmf_receive(&port->dtmf, rtp, context->now, port->clock_rate, digits);
        vp_port_post_digits(port, context, digits, count);
        if (port->dtmf.started != started)
            vp_port_key_down(port, context, port->dtmf.event);
    }
    return true;
}

/* Where the packet goes on: the peer, back, or nowhere (counted, unless its samples were `taken`). Sets the payload type
 * of that side. */
static inline vp_port *vp_port_next(vp_port *port, vp_rtp *rtp, bool taken) {
    if (port->muted) {
        vp_port *out = port->echo ? port : port->peer;
        if (out)
            vp_sender_rest(&out->sender, port->slot);
        vp_count_drop(port, VP_DROP_MUTED);
        return NULL;
    }
    if (port->echo)
        return port;
    bool is_event = rtp->payload_type == port->telephone_event;
    if (is_event && vp_port_is_transcoded(port))
        return NULL; /* its digits were passed on */
    if (!port->peer || port->route[rtp->payload_type] == VP_NO_ROUTE) {
        if (port->peer && !is_event)
            vp_sender_rest(&port->peer->sender, port->slot);
        if (!taken)
            vp_count_drop(port, port->peer ? VP_DROP_UNMAPPED : VP_DROP_NO_ROUTE);
        return NULL;
    }
    rtp->payload_type = port->route[rtp->payload_type];
    return port->peer;
}

/* The two laws of G.711 are changed into each other octet by octet: no samples, no delay. */
static inline void vp_port_translate(const vp_port *port, uint8_t *packet, const vp_rtp *rtp) {
    uint8_t *payload = packet + (rtp->payload - packet);
    vp_g711_translate(payload, rtp->payload_length, port->translation == VP_TRANSLATE_TO_ALAW);
}

/* Gives the packet the identity of `out`; NULL (counted) when it must not leave. */
static inline vp_port *vp_port_stamp(vp_port *port, vp_port *out, vp_context *context, uint8_t *packet, vp_rtp *rtp) {
    bool speaks = out->speaking || vp_port_is_told(out) || (out->audio && out->audio->source && out->audio->says);
    if (out->held || speaks || !vp_latch_destination(&out->latch)) {
        vp_count_drop(port, out->held ? VP_DROP_HELD : speaks ? VP_DROP_PLAYING : VP_DROP_NO_DESTINATION);
        vp_sender_rest(&out->sender, port->slot);
        return NULL;
    }
    /* A slot that was freed and taken again in the middle of a transfer feeds another stream. */
    uint32_t epoch = port->stream.epoch ^ (uint32_t)(port->id >> 20) * 2654435761u;
    if (vp_sender_stamp(&out->sender, rtp, port->slot, epoch, context->now, out->clock_rate)) {
        vp_count_drop(port, VP_DROP_LATE);
        return NULL;
    }
    vp_rtp_rewrite(packet, rtp);
    vp_port_sent(out, rtp, context->now);
    return out;
}

/* RTCP is taken from the host that RTP comes from, or from the signalled addresses; it never moves the latch. */
static inline bool vp_port_rtcp_admits(const vp_port *port, const vp_address *source) {
    if (port->latch.rank != VP_RANK_NONE && vp_address_same_host(source, &port->latch.source))
        return true;
    return vp_address_same_host(source, &port->latch.sdp) || vp_address_equal(source, &port->rtcp_remote);
}

static inline void vp_port_count_srtp(vp_port *port, int status) {
    if (status == VP_SRTP_AUTH_FAIL)
        vp_count_drop(port, VP_DROP_SRTP_AUTH);
    else if (status == VP_SRTP_REPLAY_FAIL || status == VP_SRTP_REPLAY_OLD)
        vp_count_drop(port, VP_DROP_SRTP_REPLAY);
    else
        vp_count_drop(port, VP_DROP_SRTP_MALFORMED);
}

/* False (counted) when the port has keys to wait for, or the packet is not what they make. */
static inline bool vp_port_opens_rtcp(vp_port *port, uint8_t *packet, size_t *length) {
    if (port->srtp.state == VP_CRYPTO_OFF)
        return true;
    if (port->srtp.state != VP_CRYPTO_ON) {
        vp_count_drop(port, VP_DROP_SRTP_NO_KEY);
        return false;
    }
    int status = vp_srtp_unprotect_rtcp(&port->srtp, packet, length);
    if (status)
        vp_port_count_srtp(port, status);
    return status == 0;
}

/* Likewise for RTP. Whoever cannot be the port's source costs no cryptography. */
static inline bool vp_port_opens(
    vp_port *port, const vp_context *context, uint8_t *packet, size_t *length, const vp_address *source
) {
    vp_rtp rtp = {.sequence = vp_get16(packet + 2), .ssrc = vp_get32(packet + 8)};
    if (port->srtp.state != VP_CRYPTO_ON) {
        vp_count_drop(port, VP_DROP_SRTP_NO_KEY);
        return false;
    }
    if (!vp_latch_may_take(&port->latch, source, context->now)) {
        vp_count_drop(port, VP_DROP_FOREIGN);
        return false;
    }
    int status = vp_srtp_unprotect(&port->srtp, packet, length, &rtp, &port->stream, context->now);
    if (status)
        vp_port_count_srtp(port, status);
    return status == 0;
}

/* A handshake is taken from the signalled address or host, from the host of the signalling, or from whom RTP comes:
 * anyone else could end it with one alert, or begin it in the phone's place. */
static inline bool vp_port_flight_admits(const vp_port *port, const vp_address *source) {
    if (port->latch.rank != VP_RANK_NONE && vp_address_equal(source, &port->latch.source))
        return true;
    return vp_latch_rank(&port->latch, source) >= VP_RANK_SIGNALLING_HOST;
}

static inline void vp_port_receive_flight(
    vp_port *port, vp_context *context, const uint8_t *packet, size_t length, const vp_address *source
) {
    if (!port->srtp.dtls || !vp_port_flight_admits(port, source)) {
        vp_count_drop(port, port->srtp.dtls ? VP_DROP_DTLS_FOREIGN : VP_DROP_DTLS_UNWANTED);
        return;
    }
    if (context->now - port->flight_window >= VP_FLIGHT_WINDOW) {
        port->flight_window = context->now;
        port->flight_count = 0;
    }
    vp_flight flight = {.port = port->id, .source = *source, .length = (uint16_t)length};
    if (length > VP_FLIGHT_MAX || port->flight_count >= VP_FLIGHT_LIMIT) {
        vp_count_drop(port, VP_DROP_DTLS_FLOOD);
        return;
    }
    memcpy(flight.data, packet, length);
    if (!vp_ring_push(context->flights, &flight)) {
        vp_count_drop(port, VP_DROP_DTLS_FLOOD);
        return;
    }
    port->flight_count++;
    context->urgent = true;
}

/* A datagram that is no RTP and no RTCP. */
static inline void vp_port_receive_other(
    vp_port *port, vp_context *context, const uint8_t *packet, size_t length, const vp_address *source, vp_kind kind
) {
    if (kind == VP_KIND_DTLS)
        vp_port_receive_flight(port, context, packet, length, source);
    else
        vp_count_drop(port, kind == VP_KIND_STUN ? VP_DROP_STUN : VP_DROP_NOT_RTP);
}

static inline void vp_port_receive_rtcp(
    vp_port *port, vp_context *context, uint8_t *packet, size_t length, const vp_address *source
) {
    if (!vp_port_rtcp_admits(port, source)) {
        vp_count_drop(port, VP_DROP_RTCP_FOREIGN);
        return;
    }
    if (!vp_port_opens_rtcp(port, packet, &length))
        return;
    if (vp_rtcp_receive(&port->rtcp, packet, length, port->sender.ssrc, context->now,
                        port->counters.packets_out)) {
        vp_count_drop(port, VP_DROP_RTCP_JUNK);
        return;
    }
    port->rtcp_source = *source;
    vp_port_heard(port, context->now);
    VP_ADD(port->counters.rtcp_in, 1);
}

/* Takes a datagram of the RTP socket. Returns the port that must send it, in the clear and rewritten in place, with its
 * length in `size`; or NULL. Whatever the bytes are, they are forwarded, consumed or counted as dropped. */
static inline vp_port *vp_port_receive(
    vp_port *port, vp_context *context, uint8_t *packet, size_t *size, const vp_address *source
) {
    vp_rtp rtp;
    size_t length = *size;
    vp_kind kind = vp_kind_of(packet, length);
    if (kind != VP_KIND_RTP) {
        vp_port_receive_other(port, context, packet, length, source, kind);
        return NULL;
    }
    if (vp_is_rtcp(packet, length)) {
        vp_port_receive_rtcp(port, context, packet, length, source);
        return NULL;
    }
    if (port->srtp.state != VP_CRYPTO_OFF && length >= VP_RTP_HEADER
        && !vp_port_opens(port, context, packet, &length, source))
        return NULL;
    *size = length;
    if (vp_rtp_parse(&rtp, packet, length)) {
        vp_count_drop(port, VP_DROP_NOT_RTP);
        return NULL;
    }
    if (!vp_port_admits(port, context, source, &rtp) || !vp_port_measures(port, context, &rtp))
        return NULL;
    bool taken = port->audio
        && vp_intake_receive(&port->audio->heard, &port->audio_counters.heard, &rtp, port->stream.epoch, context->now);
    bool translates = port->translation && rtp.payload_type == port->translated;
    vp_port *out = vp_port_next(port, &rtp, taken);
    if (out && translates && out != port)
        vp_port_translate(port, packet, &rtp);
    return out ? vp_port_stamp(port, out, context, packet, &rtp) : NULL;
}

#endif
