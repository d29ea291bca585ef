/* The verbs of the face as records, and what they do to a port. Sockets are opened before and closed after, elsewhere. */
#ifndef VP_COMMAND_H
#define VP_COMMAND_H

#include "produce.h"

typedef enum {
    VP_COMMAND_OPEN,
    VP_COMMAND_REMOTE,
    VP_COMMAND_ROUTE,
    VP_COMMAND_UNROUTE,
    VP_COMMAND_ECHO,
    VP_COMMAND_HOLD,
    VP_COMMAND_MUTE,
    VP_COMMAND_CARRY,
    VP_COMMAND_PLAY,
    VP_COMMAND_STOP_PLAY,
    VP_COMMAND_KEYS,
    VP_COMMAND_CRYPTO,
    VP_COMMAND_FLIGHT,
    VP_COMMAND_AUDIO,    /* this one from now on, or none */
    VP_COMMAND_SINK,     /* of a port that has audio; else it is released at once, as the source */
    VP_COMMAND_UNSINK,
    VP_COMMAND_SOURCE,
    VP_COMMAND_UNSOURCE,
    VP_COMMAND_MIX,      /* into this mixer, or other values in it; none: out */
    VP_COMMAND_ANNOUNCE, /* to the mixer that the port is in */
    VP_COMMAND_CLOSE,
    VP_COMMAND_MOVE,  /* to worker `other`: let go of the port */
    VP_COMMAND_ADOPT, /* take a port that another worker has let go */
    VP_COMMAND_STOP,
} vp_command_kind;

typedef struct {
    uint64_t id;
    int rtp_fd, rtcp_fd;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
} vp_open;

typedef struct {
    vp_address sdp, rtcp, signalling;
    uint64_t window; /* 0: the signalled address alone */
    uint32_t clock_rate;
    int16_t telephone_event;
    uint32_t event_rate;
    bool rtcp_mux;
    uint8_t accepted[16];
} vp_remote;

typedef struct {
    vp_playlist *list; /* the player's from here on */
    uint32_t id, start; /* octets into the list */
    uint16_t stop_digits;
    uint8_t payload_type, silence;
} vp_play;

typedef struct {
    const vp_srtp_library *library;
    void *send, *receive;
    const void *policy; /* srtp_policy_t: `send` is the session in use and gets these keys; NULL: it is a new one */
    vp_address source;  /* who has proven to be the far side; family 0: nobody */
    uint32_t version, ssrc; /* `ssrc` is the one that `receive` has a stream for, when it takes the place of another */
    uint8_t state, mki_length, mki_tail, mki_rtcp_tail;
    bool dtls, continues; /* `continues`: the far side may still send under the keys before */
} vp_crypto;

typedef struct {
    uint8_t *data; /* freed by the worker */
    vp_address to;
    uint16_t length;
} vp_flight_out;

typedef struct {
    uint8_t map[128]; /* payload type in → out */
    uint8_t translated, translation;
} vp_route;

typedef struct {
    vp_mixer *mixer; /* a reference comes with it */
    int32_t gain;
    bool muted, told;
    uint8_t aside, confided;
} vp_mix;

typedef struct {
    uint8_t kind;
    bool enabled;
    uint32_t slot, other;
    union {
        vp_open open;
        vp_remote remote;
        vp_play play; /* STOP_PLAY: the id alone */
        vp_keypad keys;
        vp_crypto crypto;
        vp_flight_out flight;
        vp_audio *audio;     /* the port's from here on, as the next two */
        vp_sink *sink;
        vp_source *source;
        uint32_t carries;    /* CARRY: vp_carries */
        uint32_t attachment; /* UNSINK, UNSOURCE: the id */
        vp_route route;
        vp_mix mix;
        vp_notice *notice; /* the mixer's from here on */
    };
} vp_command;

static inline void vp_port_open(vp_port *port, uint32_t slot, const vp_open *open, uint64_t now) {
    memset((uint8_t *)port + offsetof(vp_port, peer), 0, sizeof *port - offsetof(vp_port, peer));
    port->slot = slot;
    port->rtp_fd = open->rtp_fd;
    port->rtcp_fd = open->rtcp_fd;
    port->clock_rate = 8000;
    port->telephone_event = -1;
    port->event_rate = 8000;
    port->sender.ssrc = open->ssrc;
    port->sender.sequence = open->sequence;
    port->sender.timestamp = open->timestamp;
    vp_put32(port->cname, open->ssrc);
    vp_put32(port->cname + 4, open->timestamp);
    vp_put16(port->cname + 8, open->sequence);
    memset(port->route, VP_NO_ROUTE, sizeof port->route);
    memset(port->accepted, 0xff, sizeof port->accepted);
    port->silent_since = now;
    /* RFC 3550 §6.2: reports of many ports must not fall on one instant; the first comes after half the interval. */
    port->rtcp_due = now + VP_RTCP_INTERVAL * VP_SECOND / 2 + (open->ssrc % 2500) * VP_MILLISECOND;
    __atomic_store_n(&port->id, open->id, __ATOMIC_RELEASE);
}

static inline void vp_port_set_remote(vp_port *port, const vp_remote *remote, uint64_t now) {
    vp_latch_open(&port->latch, &remote->sdp, &remote->signalling, now, remote->window);
    port->rtcp_remote = remote->rtcp;
    port->clock_rate = remote->clock_rate;
    port->telephone_event = remote->telephone_event;
    port->event_rate = remote->event_rate;
    port->rtcp_mux = remote->rtcp_mux;
    memcpy(port->accepted, remote->accepted, sizeof port->accepted);
    vp_port_heard(port, now);
}

static inline void vp_port_unroute(vp_port *port) {
    if (!port->peer)
        return;
    VP_ASSERT(port->peer->peer == port);
    vp_sender_rest(&port->sender, port->peer->slot);
    vp_sender_rest(&port->peer->sender, port->slot);
    memset(port->peer->route, VP_NO_ROUTE, sizeof port->peer->route);
    memset(port->route, VP_NO_ROUTE, sizeof port->route);
    port->peer->peer = NULL;
    port->peer = NULL;
}

/* One direction; routes come in pairs, so that closing either end leaves no dangling peer. */
static inline void vp_port_route(vp_port *port, vp_port *peer, const vp_route *route, uint64_t now) {
    if (port->peer != peer) {
        vp_port_unroute(port);
        vp_port_unroute(peer);
        port->peer = peer;
        peer->peer = port;
    }
    port->echo = false;
    memcpy(port->route, route->map, sizeof port->route);
    port->translated = route->translated;
    port->translation = route->translation;
    vp_port_heard(port, now);
}

static inline void vp_port_play(vp_port *port, vp_context *context, const vp_play *play) {
    vp_port_end_play(port, context, VP_PLAYED_REPLACED);
    port->player = (vp_player){.list = play->list, .id = play->id, .stop_digits = play->stop_digits,
                               .payload_type = play->payload_type, .silence = play->silence};
    vp_player_seek(&port->player, play->start);
    vp_port_heard(port, context->now);
}

static inline void vp_port_press(vp_port *port, vp_context *context, const vp_keypad *keys) {
    vp_event event = {.port = port->id, .kind = VP_EVENT_KEYED, .value = port->keypad.id};
    if (port->keypad.count && port->keypad.id)
        vp_post(context, &event);
    port->keypad = *keys;
}

/* New keys, or none: what was decided by the last offer and answer, or came out of a handshake. */
static inline void vp_port_set_crypto(vp_port *port, vp_context *context, const vp_crypto *crypto) {
    vp_srtp *srtp = &port->srtp;
    bool continues = crypto->continues && srtp->receive;
    srtp->previous = continues ? srtp->receive : NULL;
    srtp->previous_until = context->now + VP_SRTP_OVERLAP;
    srtp->roc_awaited = continues;
    srtp->roc_ssrc = crypto->ssrc;
    srtp->library = crypto->library;
    srtp->send = crypto->send;
    srtp->receive = crypto->receive;
    srtp->state = crypto->state;
    srtp->dtls = crypto->dtls;
    srtp->mki_length = crypto->mki_length;
    srtp->mki_tail = crypto->mki_tail;
    srtp->mki_rtcp_tail = crypto->mki_rtcp_tail;
    /* Rollover counter and index of SRTCP go on (RFC 3711 §3.4: the index is not reset at a change of keys). */
    if (crypto->policy && srtp->library->update(srtp->send, crypto->policy))
        srtp->state = VP_CRYPTO_AWAITED;
    if (crypto->source.family) {
        vp_latch_to(&port->latch, &crypto->source, vp_latch_rank(&port->latch, &crypto->source), context->now);
        port->latch.rank = VP_RANK_EXACT; /* as good as signalled: its certificate was */
        vp_publish_source(port, &port->latch.source);
    }
    __atomic_store_n(&srtp->version, crypto->version, __ATOMIC_RELEASE);
}

static inline void vp_port_set_audio(vp_port *port, vp_audio *audio) {
    vp_audio *before = port->audio;
    if (before && audio)
        vp_audio_inherit(audio, before);
    else if (before)
        port->audio_epoch = before->epoch;
    else if (audio)
        audio->epoch = port->audio_epoch + 1; /* numbers of its own: to the sender it is not the audio of before */
    port->audio = audio;
    vp_audio_free(before);
}

/* A port without audio, or with another rate than the mixer's, is in none. */
static inline void vp_port_mix(vp_port *port, const vp_mix *mix, uint64_t now) {
    vp_audio *audio = port->audio;
    vp_layer *layer = audio && mix->mixer ? vp_mixer_layer(mix->mixer, audio->rate) : NULL;
    if (!audio || (mix->mixer && !layer)) {
        vp_mixer_release(mix->mixer);
        return;
    }
    vp_membership *member = &audio->member;
    if (!member->mixer)
        vp_port_heard(port, now);
    vp_mixer_release(member->mixer);
    if (!mix->mixer)
        *member = (vp_membership){0};
    member->mixer = mix->mixer;
    member->layer = layer;
    member->gain = mix->gain;
    member->muted = mix->muted;
    member->told = mix->told;
    bool open = mix->mixer && mix->mixer->open;
    member->aside = open ? mix->aside : 0;
    member->confided = open ? mix->confided : 0;
    member->adds = false;
}

static inline void vp_port_announce(vp_port *port, vp_notice *notice) {
    if (port->audio && port->audio->member.mixer)
        vp_mixer_announce(port->audio->member.mixer, notice);
    else
        vp_notice_release(notice);
}

/* Silence counts from the first task on: another one is no sign of life. */
static inline void vp_port_expect(vp_port *port, uint64_t now) {
    if (!vp_port_has_task(port))
        vp_port_heard(port, now);
}

static inline void vp_port_attach_sink(vp_port *port, vp_sink *sink, uint64_t now) {
    if (port->audio) {
        vp_port_expect(port, now);
        vp_audio_attach_sink(port->audio, sink);
    } else {
        sink->release(sink);
    }
}

static inline void vp_port_attach_source(vp_port *port, vp_source *source, uint64_t now) {
    if (port->audio) {
        vp_port_expect(port, now);
        vp_audio_attach_source(port->audio, source);
    } else {
        source->release(source);
    }
}

/* The verbs that touch ports alone; `other` is the port of `command->other` where the verb has two. */
static inline void vp_port_apply(vp_port *port, vp_port *other, const vp_command *command, vp_context *context) {
    uint64_t now = context->now;
    switch (command->kind) {
    case VP_COMMAND_REMOTE:
        vp_port_set_remote(port, &command->remote, now);
        break;
    case VP_COMMAND_ROUTE:
        vp_port_route(port, other, &command->route, now);
        break;
    case VP_COMMAND_UNROUTE:
        vp_port_unroute(port);
        break;
    case VP_COMMAND_ECHO:
        port->echo = command->enabled;
        vp_sender_rest(&port->sender, port->slot);
        vp_port_heard(port, now);
        break;
    case VP_COMMAND_HOLD:
        port->held = command->enabled;
        vp_port_heard(port, now);
        break;
    case VP_COMMAND_MUTE:
        port->muted = command->enabled;
        break;
    case VP_COMMAND_CARRY:
        port->carries = (uint8_t)command->carries;
        break;
    case VP_COMMAND_PLAY:
        vp_port_play(port, context, &command->play);
        break;
    case VP_COMMAND_STOP_PLAY:
        if (port->player.id == command->play.id)
            vp_port_end_play(port, context, VP_PLAYED_STOPPED);
        break;
    case VP_COMMAND_KEYS:
        vp_port_press(port, context, &command->keys);
        break;
    case VP_COMMAND_CRYPTO:
        vp_port_set_crypto(port, context, &command->crypto);
        break;
    case VP_COMMAND_AUDIO:
        vp_port_set_audio(port, command->audio);
        break;
    case VP_COMMAND_MIX:
        vp_port_mix(port, &command->mix, now);
        break;
    case VP_COMMAND_ANNOUNCE:
        vp_port_announce(port, command->notice);
        break;
    case VP_COMMAND_SINK:
        vp_port_attach_sink(port, command->sink, now);
        break;
    case VP_COMMAND_UNSINK:
        if (port->audio)
            vp_audio_detach_sink(port->audio, command->attachment);
        break;
    case VP_COMMAND_SOURCE:
        vp_port_attach_source(port, command->source, now);
        break;
    case VP_COMMAND_UNSOURCE:
        if (port->audio)
            vp_audio_detach_source(port->audio, command->attachment);
        break;
    default:
        break;
    }
}

#endif
