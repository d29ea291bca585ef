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
    uint64_t id; /* the handle that Python holds: generation and slot; the last that vp_port_open writes */
    vp_port *peer;
    int rtp_fd, rtcp_fd; /* owned by the worker while the phase is open; -1 on the manual clock */
    uint32_t slot, position; /* in the engine's table, in the worker's list */
    uint32_t clock_rate;
    int16_t telephone_event; /* payload type, -1 when not negotiated */
    uint32_t event_rate;     /* its clock: with Opus many phones have it at 8000 all the same */
    bool echo, held, muted, rtcp_mux, connected, timed_out;
    bool speaking;     /* a prompt or digits: nothing is relayed to it meanwhile */
    bool producing;    /* in the worker's list of those that do something at each tick: speak, or have audio */
    bool waits;        /* its sockets are read at the tick, not when something comes */
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
    uint32_t audio_epoch; /* of the audio that was there before */
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
        context->urgent |= event->kind != VP_EVENT_LATCHED && event->kind != VP_EVENT_SPEAKING;
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

/* Asked by the face: until the worker has opened the port, what stands there is of the call before. */
static inline bool vp_port_is_opened(const vp_port *port, uint64_t id) {
    return __atomic_load_n(&port->id, __ATOMIC_ACQUIRE) == id;
}

static inline void vp_port_heard(vp_port *port, uint64_t now) {
    port->silent_since = now;
    port->timed_out = false;
}

static inline bool vp_port_accepts(const vp_port *port, uint8_t payload_type) {
    return port->accepted[payload_type >> 3] & 1 << (payload_type & 7);
}

/* It is told what a mixer makes, and not what its peer sends. */
static inline bool vp_port_is_told(const vp_port *port) {
    return port->audio && port->audio->member.mixer && port->audio->member.told;
}

/* The peer has another codec, or hears more than this port, so that its packets are made here: the events of this port are
 * not relayed into them. */
static inline bool vp_port_is_transcoded(const vp_port *port) {
    return port->peer && port->peer->audio && (port->peer->audio->encodes || vp_port_is_told(port->peer));
}

/* Somebody talks with the far side, or listens to it: a recorder, a program. */
static inline bool vp_port_has_task(const vp_port *port) {
    const vp_audio *audio = port->audio;
    bool is_used = audio && (audio->member.mixer || audio->sinks || audio->source);
    return port->peer || port->echo || port->player.list || is_used;
}

/* Nothing that comes to the port goes on at once: it may lie until the next tick, when its samples are wanted. */
static inline bool vp_port_can_wait(const vp_port *port) {
    if (port->carries || port->echo || port->srtp.state == VP_CRYPTO_AWAITED)
        return false;
    if (port->peer && !vp_port_is_transcoded(port))
        return false;
    for (int type = 0; type < 128; type++)
        if (port->route[type] != VP_NO_ROUTE && type != port->telephone_event)
            return false;
    return true;
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

/* A packet is about to leave: counted, and overheard by who records the port. */
static inline void vp_port_sent(vp_port *port, const vp_rtp *rtp, uint64_t now) {
    VP_ADD(port->counters.packets_out, 1);
    VP_ADD(port->counters.octets_out, rtp->payload_length);
    if (port->audio && port->audio->said)
        vp_intake_receive(port->audio->said, &port->audio_counters.said, rtp, 0, now);
}

#endif
