/* A port: one leg's media. Buffers in, buffers out; sockets, threads and Python are somebody else's.
 *
 * One worker owns a port and is the only one to write it. The face reads counters (relaxed atomics), the published source
 * (a sequence lock) and `phase`; nothing else.
 */
#ifndef VP_PORT_H
#define VP_PORT_H

#include "address.h"
#include "audio.h"
#include "dtmf.h"
#include "keypad.h"
#include "keytone.h"
#include "latch.h"
#include "player.h"
#include "ring.h"
#include "rtcp.h"
#include "rtp.h"
#include "sender.h"
#include "srtp.h"
#include "stream.h"

enum {
    VP_NO_ROUTE = 0xff,
    VP_RTCP_INTERVAL = 5,
    /* Packets that a port takes in VP_RATE_WINDOW: 2000 a second, ten times the densest audio (ptime 5). Two echoing ports
     * that are each other's far side would otherwise play ping-pong with all of a worker's time. */
    VP_RATE_LIMIT = 200,
    /* Datagrams of DTLS that a port sends up in VP_FLIGHT_WINDOW: a handshake has four flights of at most a few. */
    VP_FLIGHT_LIMIT = 24,
    VP_FLIGHT_MAX = 1500,
};

#define VP_RATE_WINDOW (100 * VP_MILLISECOND)
#define VP_FLIGHT_WINDOW VP_SECOND

typedef enum { VP_PHASE_FREE, VP_PHASE_OPEN } vp_phase;

/* What a port is for: audio, or what carry.h passes on untouched. */
typedef enum { VP_CARRIES_NOTHING, VP_CARRIES_RTP, VP_CARRIES_DATAGRAMS } vp_carries;

/* Why a packet was not forwarded; the names for Python are in media/stats.py, in this order. */
typedef enum {
    VP_DROP_NOT_RTP,
    VP_DROP_PAYLOAD_TYPE,
    VP_DROP_LEARNING,
    VP_DROP_FOREIGN,
    VP_DROP_LATE,
    VP_DROP_JUMP,
    VP_DROP_FLOOD,
    VP_DROP_MUTED,
    VP_DROP_NO_ROUTE,
    VP_DROP_UNMAPPED,
    VP_DROP_HELD,
    VP_DROP_PLAYING,
    VP_DROP_NO_DESTINATION,
    VP_DROP_SEND_FAILED,
    VP_DROP_RTCP_JUNK,
    VP_DROP_RTCP_FOREIGN,
    VP_DROP_SRTP_AUTH,
    VP_DROP_SRTP_REPLAY,
    VP_DROP_SRTP_MALFORMED,
    VP_DROP_SRTP_NO_KEY,
    VP_DROP_SRTP_SEND,
    VP_DROP_STUN,
    VP_DROP_DTLS_UNWANTED, /* nobody asked for DTLS on this port */
    VP_DROP_DTLS_FOREIGN,
    VP_DROP_DTLS_FLOOD,
    VP_DROP_REASONS
} vp_drop;

typedef enum { VP_EVENT_TIMEOUT = 1, VP_EVENT_LATCHED, VP_EVENT_DIGIT, VP_EVENT_PLAYED, VP_EVENT_KEYED, VP_EVENT_SPEAKING } vp_event_kind;

typedef struct {
    uint64_t port;
    uint32_t kind;
    uint32_t value;    /* VP_EVENT_DIGIT: the event code; PLAYED, KEYED: the id that the command gave */
    uint32_t duration; /* VP_EVENT_DIGIT: milliseconds; PLAYED: samples */
    uint32_t detail;   /* VP_EVENT_PLAYED: vp_played */
    vp_address address;
} vp_event;

/* A datagram of DTLS for Python, and whence it came. */
typedef struct {
    uint64_t port;
    vp_address source;
    uint16_t length;
    uint8_t data[VP_FLIGHT_MAX];
} vp_flight;

typedef struct {
    uint64_t packets_in, octets_in; /* octets are those of RFC 3550: payload without header and padding */
    uint64_t packets_out, octets_out;
    uint64_t rtcp_in, rtcp_out;
    int64_t lost;
    uint32_t digits;
    uint32_t dropped[VP_DROP_REASONS];
} vp_counters;

typedef struct vp_port vp_port;
struct vp_port {
    uint8_t phase;  /* these two are first, and left alone by vp_port_open: the face sets them before it gives OPEN */
    uint8_t worker; /* who owns the port: an ADOPT waits for it */
    uint64_t id; /* the handle that Python holds: generation and slot */
    vp_port *peer;
    int rtp_fd, rtcp_fd; /* owned by the worker while the phase is open; -1 on the manual clock */
    uint32_t slot, position; /* in the engine's table, in the worker's list */
    uint32_t clock_rate;
    int16_t telephone_event; /* payload type, -1 when not negotiated */
    uint32_t event_rate;     /* its clock: with Opus many phones have it at 8000 all the same */
    bool echo, held, muted, rtcp_mux, connected, timed_out;
    bool speaking;     /* a prompt or digits: nothing is relayed to it meanwhile */
    bool producing;    /* in the worker's list of those that do something at each tick: speak, or have audio */
    uint8_t carries; /* vp_carries */
    uint8_t translated, translation; /* payload type whose octets are changed on the way, vp_translation */
    uint32_t place;    /* in the list */
    uint8_t accepted[16]; /* bit set of payload types */
    uint8_t route[128];   /* payload type in → out, VP_NO_ROUTE */
    uint8_t cname[VP_CNAME / 2];
    vp_latch latch;
    vp_stream stream;
    vp_sender sender;
    vp_dtmf dtmf;
    vp_player player;
    vp_keypad keypad;
    vp_audio *audio; /* owned; NULL while nobody wants samples */
    vp_rtcp rtcp;
    vp_srtp srtp;
    vp_address rtcp_remote; /* signalled; family 0: the RTP address, next port */
    vp_address rtcp_source; /* whence RTCP came; family 0: none yet */
    uint64_t silent_since, rtcp_due, rate_window, flight_window;
    uint32_t rate_count, flight_count;
    vp_counters counters;
    vp_audio_counters audio_counters;
    uint32_t published_version;
    uint64_t published[3];
};

/* What a worker lends to the kernels: its clocks and its ring of events. */
typedef struct {
    uint64_t now;       /* monotonic, ns */
    uint64_t wallclock; /* since 1970, ns; for NTP times in RTCP only */
    uint64_t media_timeout;
    vp_ring *events;
    vp_ring *flights;
    uint64_t *events_lost;
    uint32_t turn; /* of the ticks in which ports listen */
    bool urgent; /* an event was posted that a person waits for */
} vp_context;

static inline bool vp_post(vp_context *context, const vp_event *event) {
    bool pushed = vp_ring_push(context->events, event);
    if (!pushed)
        VP_ADD(*context->events_lost, 1);
    else
        context->urgent |= event->kind != VP_EVENT_LATCHED;
    return pushed;
}

static inline void vp_count_drop(vp_port *port, vp_drop reason) { VP_ADD(port->counters.dropped[reason], 1); }

static inline void vp_publish_source(vp_port *port, const vp_address *source) {
    uint64_t words[3] = {0, 0, 0};
    words[0] = (uint64_t)source->family << 16 | vp_address_port(source);
    if (source->family == AF_INET6)
        memcpy(words + 1, &source->v6.sin6_addr, 16);
    else
        memcpy(words + 1, &source->v4.sin_addr, 4);
    VP_SET(port->published_version, port->published_version + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++)
        VP_SET(port->published[i], words[i]);
    __atomic_store_n(&port->published_version, port->published_version + 1, __ATOMIC_RELEASE);
}

/* From any thread; false when no source was latched yet. */
static inline bool vp_read_source(const vp_port *port, vp_address *source) {
    uint64_t words[3];
    uint32_t version;
    do {
        version = __atomic_load_n(&port->published_version, __ATOMIC_ACQUIRE);
        for (int i = 0; i < 3; i++)
            words[i] = VP_READ(port->published[i]);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (version & 1 || version != VP_READ(port->published_version));
    memset(source, 0, sizeof *source);
    source->family = (sa_family_t)(words[0] >> 16);
    vp_address_set_port(source, (uint16_t)words[0]);
    if (source->family == AF_INET6)
        memcpy(&source->v6.sin6_addr, words + 1, 16);
    else
        memcpy(&source->v4.sin_addr, words + 1, 4);
    return source->family != 0;
}

static inline void vp_port_heard(vp_port *port, uint64_t now) {
    port->silent_since = now;
    port->timed_out = false;
}

static inline bool vp_port_accepts(const vp_port *port, uint8_t payload_type) {
    return port->accepted[payload_type >> 3] & 1 << (payload_type & 7);
}

/* The peer has another codec, so that its packets are made here: the events of this port are not relayed into them. */
static inline bool vp_port_is_transcoded(const vp_port *port) {
    return port->peer && port->peer->audio && port->peer->audio->encodes;
}

/* A digit that has ended is pressed anew for a transcoded peer, in its own clock and between its own packets. */
static inline void vp_port_pass_digit(vp_port *port, uint8_t digit) {
    uint8_t payload_type = port->telephone_event < 0 ? VP_NO_ROUTE : port->route[port->telephone_event];
    if (!port->muted && vp_port_is_transcoded(port) && payload_type != VP_NO_ROUTE)
        vp_keypad_add(&port->peer->keypad, digit, payload_type);
}

static inline void vp_port_post_digits(vp_port *port, vp_context *context, const vp_digit *digits, int count) {
    for (int i = 0; i < count; i++) {
        vp_event event = {.port = port->id, .kind = VP_EVENT_DIGIT, .value = digits[i].event};
        event.duration = (uint32_t)((uint64_t)digits[i].duration * 1000 / port->event_rate);
        VP_ADD(port->counters.digits, 1);
        vp_port_pass_digit(port, digits[i].event);
        vp_post(context, &event);
    }
}

/* Posts the end of the playback, now or, when the ring is full, at the next tick. */
static inline void vp_port_end_play(vp_port *port, vp_context *context, vp_played reason) {
    vp_player *player = &port->player;
    if (!player->list)
        return;
    if (!player->ending)
        player->ending = (uint8_t)reason;
    vp_event event = {.port = port->id, .kind = VP_EVENT_PLAYED, .value = player->id, .duration = player->samples,
                      .detail = player->ending};
    if (!vp_post(context, &event) && reason != VP_PLAYED_REPLACED)
        return;
    vp_playlist_free(player->list);
    player->list = NULL;
}

/* A digit begins: barge-in does not wait for its end. */
static inline void vp_port_key_down(vp_port *port, vp_context *context, uint8_t digit) {
    if (port->player.stop_digits >> digit & 1)
        vp_port_end_play(port, context, VP_PLAYED_DIGIT);
}

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
        vp_count_drop(port, VP_DROP_MUTED);
        return NULL;
    }
    if (port->echo)
        return port;
    bool is_event = rtp->payload_type == port->telephone_event;
    if (is_event && vp_port_is_transcoded(port))
        return NULL; /* its digits were passed on */
    if (!port->peer || port->route[rtp->payload_type] == VP_NO_ROUTE) {
        if (!taken)
            vp_count_drop(port, port->peer ? VP_DROP_UNMAPPED : VP_DROP_NO_ROUTE);
        return NULL;
    }
    rtp->payload_type = port->route[rtp->payload_type];
    return port->peer;
}

/* A packet is about to leave: counted, and overheard by who records the port. */
static inline void vp_port_sent(vp_port *port, const vp_rtp *rtp, uint64_t now) {
    VP_ADD(port->counters.packets_out, 1);
    VP_ADD(port->counters.octets_out, rtp->payload_length);
    if (port->audio && port->audio->said)
        vp_intake_put(port->audio->said, &port->audio_counters.said, rtp, 0, now);
}

/* The two laws of G.711 are changed into each other octet by octet: no samples, no delay. */
static inline void vp_port_translate(const vp_port *port, uint8_t *packet, const vp_rtp *rtp) {
    uint8_t *payload = packet + (rtp->payload - packet);
    vp_g711_translate(payload, rtp->payload_length, port->translation == VP_TRANSLATE_TO_ALAW);
}

/* Gives the packet the identity of `out`; NULL (counted) when it must not leave. */
static inline vp_port *vp_port_stamp(vp_port *port, vp_port *out, vp_context *context, uint8_t *packet, vp_rtp *rtp) {
    bool speaks = out->speaking || (out->audio && out->audio->source && out->audio->says);
    if (out->held || speaks || !vp_latch_destination(&out->latch)) {
        vp_count_drop(port, out->held ? VP_DROP_HELD : speaks ? VP_DROP_PLAYING : VP_DROP_NO_DESTINATION);
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
    if (port->audio && rtp.payload_type == port->telephone_event)
        vp_intake_skip(&port->audio->heard, &rtp, port->stream.epoch, context->now);
    bool taken = port->audio
        && vp_intake_put(&port->audio->heard, &port->audio_counters.heard, &rtp, port->stream.epoch, context->now);
    bool translates = port->translation && rtp.payload_type == port->translated;
    vp_port *out = vp_port_next(port, &rtp, taken);
    if (out && translates && out != port)
        vp_port_translate(port, packet, &rtp);
    return out ? vp_port_stamp(port, out, context, packet, &rtp) : NULL;
}

/* Whose numbers the sender continues, beside the slots of the ports that are relayed. */
enum { VP_SOURCE_AUDIO = 0xfffffffd, VP_SOURCE_PLAYER = 0xfffffffe, VP_SOURCE_KEYPAD = 0xffffffff };

static inline bool vp_port_speaks(const vp_port *port) { return port->player.list || port->keypad.count; }

static inline bool vp_port_produces(const vp_port *port) { return port->audio || vp_port_speaks(port); }

/* Gives a packet that was made here its header; its length, or 0 (counted) when nobody is to get it. */
static inline size_t vp_port_emit(
    vp_port *port, const vp_context *context, uint8_t *packet, vp_rtp *rtp, uint32_t source, uint32_t epoch
) {
    if (port->held || !vp_latch_destination(&port->latch)) {
        vp_count_drop(port, port->held ? VP_DROP_HELD : VP_DROP_NO_DESTINATION);
        return 0;
    }
    vp_sender_stamp(&port->sender, rtp, source, epoch, context->now, port->clock_rate);
    packet[0] = 0x80;
    vp_rtp_rewrite(packet, rtp);
    rtp->payload = packet + VP_RTP_HEADER;
    vp_port_sent(port, rtp, context->now);
    return VP_RTP_HEADER + (size_t)rtp->payload_length;
}

/* All packets of an event carry the timestamp of its start; the sender's clock goes on meanwhile. */
static inline size_t vp_port_produce_key(vp_port *port, vp_context *context, uint8_t *packet) {
    vp_keypad *keypad = &port->keypad;
    uint32_t units = port->event_rate / 50, audio_units = port->clock_rate / 50;
    bool due = vp_keypad_tick(keypad, packet + VP_RTP_HEADER, units);
    if (vp_keypad_done(keypad)) {
        vp_event event = {.port = port->id, .kind = VP_EVENT_KEYED, .value = keypad->id};
        if (!keypad->id || vp_post(context, &event))
            keypad->count = 0;
        return 0;
    }
    if (!due)
        return 0;
    vp_rtp rtp = {.payload_length = VP_EVENT_OCTETS, .payload_type = keypad->payload_type, .sequence = keypad->sequence};
    size_t length = vp_port_emit(port, context, packet, &rtp, VP_SOURCE_KEYPAD, keypad->id << 6 | keypad->at);
    if (length) {
        keypad->sequence++;
        port->sender.timestamp = rtp.timestamp + (keypad->tick - 1u) * audio_units;
    }
    return length;
}

static inline size_t vp_port_produce_prompt(vp_port *port, vp_context *context, uint8_t *packet) {
    vp_player *player = &port->player;
    uint32_t octets = player->ending ? 0 : vp_player_frame(player, packet + VP_RTP_HEADER);
    if (!octets) {
        vp_port_end_play(port, context, VP_PLAYED_FINISHED);
        return 0;
    }
    vp_rtp rtp = {.payload_length = (uint16_t)octets, .payload_type = player->payload_type,
                  .sequence = player->sequence, .timestamp = player->timestamp * (port->clock_rate / 8000)};
    size_t length = vp_port_emit(port, context, packet, &rtp, VP_SOURCE_PLAYER, player->id);
    player->sequence = (uint16_t)(player->sequence + (length != 0));
    player->timestamp += VP_FRAME;
    return length;
}

/* Keys that were heard as tones: the same events as those that come as telephone-events. */
static inline void vp_port_heard_keys(vp_port *port, vp_context *context) {
    for (vp_sink *sink = port->audio->sinks; sink; sink = sink->next) {
        if (sink->key_up) {
            vp_digit digit = {(uint8_t)(sink->key_up - 1), sink->key_ms * (port->event_rate / 1000)};
            vp_port_post_digits(port, context, &digit, 1);
        }
        if (sink->key_down)
            vp_port_key_down(port, context, (uint8_t)(sink->key_down - 1));
        sink->key_up = sink->key_down = 0;
    }
}

/* The first half of a tick, before any port produces: what the far side says now. */
static inline void vp_port_listen(vp_port *port, vp_context *context) {
    vp_audio *audio = port->audio;
    vp_audio_listen(audio, &port->audio_counters, context->now);
    vp_port_heard_keys(port, context);
    if (!audio->member.mixer || !vp_mixer_add(&audio->member, audio->frame, context->turn))
        return;
    vp_event event = {.port = port->id, .kind = VP_EVENT_SPEAKING, .value = audio->member.speaks};
    vp_post(context, &event);
}

/* A member of a conference: the sum of the others, its own encoding only while it speaks. A packet that is shared is
 * written at once; its length, else 0. */
static inline size_t vp_port_say_mixed(vp_port *port, const vp_context *context, uint8_t *packet) {
    int16_t heard[VP_PCM_FRAME];
    vp_rtp rtp;
    vp_audio *audio = port->audio;
    vp_mixer_begin(audio->member.mixer, context->turn);
    vp_mixer_hear(&audio->member, audio->frame, heard);
    vp_encoding *encoding = vp_mixer_share(&audio->member, &audio->encoder.format);
    if (!encoding) {
        vp_audio_say(audio, heard);
        return 0;
    }
    vp_audio_say_shared(audio, heard);
    if (!encoding->full || !vp_audio_shared_packet(audio, encoding->length, &rtp))
        return 0;
    memcpy(packet + VP_RTP_HEADER, encoding->payload, rtp.payload_length);
    return vp_port_emit(port, context, packet, &rtp, VP_SOURCE_AUDIO, audio->epoch);
}

/* The samples that go to the far side at this tick: of the source, else of the peer when it has another codec. */
static inline size_t vp_port_say(vp_port *port, const vp_context *context, uint8_t *packet) {
    static const int16_t silence[VP_PCM_FRAME];
    int16_t given[VP_PCM_FRAME + 1];
    vp_audio *audio = port->audio;
    vp_port *peer = port->peer;
    if (!audio->has_encoder)
        return 0;
    if (vp_audio_ask_source(audio, given))
        vp_audio_say(audio, given);
    else if (audio->member.mixer)
        return vp_port_say_mixed(port, context, packet);
    else if (audio->encodes && peer && peer->audio && peer->audio->heard.heard && peer->audio->rate == audio->rate)
        vp_audio_say(audio, peer->muted ? silence : peer->audio->frame);
    else
        vp_audio_pause(audio);
    return 0;
}

/* A packet of what was said, or 0 when none is full. */
static inline size_t vp_port_produce_audio(vp_port *port, const vp_context *context, uint8_t *packet) {
    vp_rtp rtp;
    if (!port->audio || port->speaking || !vp_audio_packet(port->audio, &port->audio_counters, packet + VP_RTP_HEADER, &rtp))
        return 0;
    return vp_port_emit(port, context, packet, &rtp, VP_SOURCE_AUDIO, port->audio->epoch);
}

/* What the port itself sends at this tick, into VP_PRODUCED octets; its length, or 0. More of it, when packets are
 * shorter than a tick, is told by vp_port_produce_audio. */
enum { VP_PRODUCED = VP_RTP_HEADER + VP_PAYLOAD_MAX };

static inline size_t vp_port_produce(vp_port *port, vp_context *context, uint8_t *packet) {
    size_t length = 0;
    port->speaking = vp_port_speaks(port);
    if (port->keypad.count)
        length = vp_port_produce_key(port, context, packet);
    else if (port->player.list)
        length = vp_port_produce_prompt(port, context, packet);
    if (!port->audio)
        return length;
    if (port->speaking)
        vp_audio_pause(port->audio);
    else
        length = vp_port_say(port, context, packet);
    vp_audio_overhear(port->audio, &port->audio_counters, context->now);
    return port->speaking || length ? length : vp_port_produce_audio(port, context, packet);
}

/* Ticks that came too late to make up for: a pause to the listener, nothing is lost. */
static inline void vp_port_skip(vp_port *port, uint32_t ticks) {
    port->player.timestamp += ticks * VP_FRAME;
    if (ticks && port->audio)
        vp_audio_pause(port->audio);
}

/* Hundreds of ports take their turn at a tick, and the kernel's own work between two of them empties the caches. */
static inline void vp_port_prefetch(const vp_port *port) {
    __builtin_prefetch(port);
    __builtin_prefetch(&port->player);
    __builtin_prefetch(&port->sender, 1);
    __builtin_prefetch(&port->latch);
    __builtin_prefetch(&port->latch.rank);
    __builtin_prefetch(&port->counters, 1);
}

/* Let go of what is played, keyed and heard, without a word. */
static inline void vp_port_fall_silent(vp_port *port) {
    vp_playlist_free(port->player.list);
    port->player.list = NULL;
    port->keypad.count = 0;
    vp_audio_free(port->audio);
    port->audio = NULL;
}

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
    uint32_t elapsed = (uint32_t)((unsigned __int128)passed * port->clock_rate / VP_SECOND);
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

/* The report that is due now, or 0. Nothing is reported before anything was sent or received. */
static inline size_t vp_port_due_report(vp_port *port, const vp_context *context, uint8_t *packet, vp_address *destination) {
    if (context->now < port->rtcp_due)
        return 0;
    port->rtcp_due = context->now + VP_RTCP_INTERVAL * VP_SECOND;
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
    bool expected = (port->peer || port->echo || port->player.list) && !port->held && !port->carries
        && context->media_timeout;
    if (!expected || port->timed_out || context->now - port->silent_since < context->media_timeout)
        return;
    vp_event event = {.port = port->id, .kind = VP_EVENT_TIMEOUT};
    port->timed_out = vp_post(context, &event);
}

#endif
