/* What a port reports of itself by RTCP, and of silence to its call. */
#ifndef VP_REPORT_H
#define VP_REPORT_H

#include "port.h"

/* Where RTCP goes: with mux as RTP, else the signalled address, else where it comes from, else the port above RTP's. */
static inline bool vp_port_rtcp_destination(const vp_port *port, vp_address *destination) {
    const vp_address *rtp = vp_latch_destination(&port->latch);
    if (!rtp)
        return false;
    *destination = *rtp;
    if (port->rtcp_mux)
        return true;
    if (port->rtcp_source.family)
        *destination = port->rtcp_source;
    else if (port->rtcp_remote.family && port->latch.rank != VP_RANK_ANYONE)
        *destination = port->rtcp_remote;
    else
        vp_address_set_port(destination, (uint16_t)(vp_address_port(rtp) + 1));
    return vp_address_usable(destination);
}

static inline size_t vp_port_write_sr(vp_port *port, const vp_context *context, uint8_t *part) {
    uint64_t ntp = vp_ntp(context->wallclock);
    uint64_t passed = context->now - port->sender.last_sent;
    uint32_t elapsed = vp_rtp_time(passed, port->clock_rate);
    vp_put32(part + 8, (uint32_t)(ntp >> 32));
    vp_put32(part + 12, (uint32_t)ntp);
    vp_rtcp_sent(&port->rtcp, (uint32_t)(ntp >> 16), context->now);
    vp_put32(part + 16, port->sender.timestamp + elapsed);
    vp_put32(part + 20, (uint32_t)port->counters.packets_out);
    vp_put32(part + 24, (uint32_t)port->counters.octets_out);
    return 28;
}

/* Writes SR or RR, SDES, and BYE when asked, into VP_RTCP_MAX bytes; returns the length. */
static inline size_t vp_port_report(vp_port *port, const vp_context *context, uint8_t *packet, bool bye) {
    bool sends = port->sender.last_sent != 0;
    bool reports = port->stream.active;
    size_t length = 8;
    if (sends)
        length = vp_port_write_sr(port, context, packet);
    if (reports)
        length += vp_rtcp_write_block(packet + length, &port->stream, &port->rtcp, context->now);
    vp_rtcp_head(packet, reports, sends ? VP_RTCP_SR : VP_RTCP_RR, length);
    vp_put32(packet + 4, port->sender.ssrc);
    length += vp_rtcp_write_sdes(packet + length, port->sender.ssrc, port->cname);
    if (bye)
        length += vp_rtcp_write_bye(packet + length, port->sender.ssrc);
    VP_ASSERT(length <= VP_RTCP_MAX);
    VP_ADD(port->counters.rtcp_out, 1);
    return length;
}

/* RFC 3550 §6.3.1: half to one and a half of five seconds, so that ports which were opened together do not report
 * together for ever. What is random here is of the port and the report, so that a simulation can be repeated. */
static inline uint64_t vp_rtcp_interval(const vp_port *port) {
    uint32_t mixed = (port->sender.ssrc ^ (uint32_t)port->counters.rtcp_out) * 0x9e3779b1u;
    mixed = (mixed ^ mixed >> 15) * 0x85ebca77u;
    mixed ^= mixed >> 13;
    uint64_t least = VP_RTCP_INTERVAL * VP_SECOND / 2;
    return least + (VP_RTCP_INTERVAL * VP_MILLISECOND * (uint64_t)(mixed % 1000));
}

/* The report that is due now, or 0. Nothing is reported before anything was sent or received. */
static inline size_t vp_port_due_report(vp_port *port, const vp_context *context, uint8_t *packet, vp_address *destination) {
    if (context->now < port->rtcp_due)
        return 0;
    port->rtcp_due = context->now + vp_rtcp_interval(port);
    bool quiet = !port->sender.last_sent && !port->stream.active;
    /* RFC 8866 §6.7.4: RTCP goes on whatever the direction, on hold too. */
    if (quiet || !vp_port_rtcp_destination(port, destination))
        return 0;
    return vp_port_report(port, context, packet, false);
}

/* BYE at the end, to whom something was sent (RFC 3550 §6.6). */
static inline size_t vp_port_last_report(vp_port *port, const vp_context *context, uint8_t *packet, vp_address *destination) {
    if (!port->sender.last_sent || !vp_port_rtcp_destination(port, destination))
        return 0;
    return vp_port_report(port, context, packet, true);
}

/* Time alone: a digit whose end was lost, media that stopped. */
static inline void vp_port_sweep(vp_port *port, vp_context *context) {
    vp_digit digit;
    vp_port_post_digits(port, context, &digit, vp_dtmf_timeout(&port->dtmf, context->now, &digit));
    bool expected = vp_port_has_task(port) && !port->held && !port->carries && context->media_timeout;
    if (!expected || port->timed_out || context->now - port->silent_since < context->media_timeout)
        return;
    vp_event event = {.port = port->id, .kind = VP_EVENT_TIMEOUT};
    port->timed_out = vp_post(context, &event);
}

#endif
