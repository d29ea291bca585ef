/* What a port sends of itself at a tick: prompts, digits, samples. */
#ifndef VP_PRODUCE_H
#define VP_PRODUCE_H

#include "port.h"

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
    size_t length = vp_port_emit(port, context, packet, &rtp, VP_SOURCE_KEYPAD, vp_keypad_epoch(keypad));
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

/* A packet of the port's audio; as vp_port_emit. */
static inline size_t vp_port_emit_audio(vp_port *port, const vp_context *context, uint8_t *packet, vp_rtp *rtp) {
    size_t length = vp_port_emit(port, context, packet, rtp, VP_SOURCE_AUDIO, port->audio->epoch);
    if (!length)
        vp_audio_unsent(port->audio, rtp);
    return length;
}

/* A member of a conference: the sum of the others, its own encoding only while it speaks. A packet that is shared is
 * written at once; its length, else 0. */
static inline size_t vp_port_say_mixed(vp_port *port, const vp_context *context, uint8_t *packet) {
    int16_t heard[VP_PCM_FRAME];
    vp_rtp rtp;
    vp_audio *audio = port->audio;
    vp_mixer_begin(audio->member.mixer, context->turn);
    vp_encoding *encoding = vp_mixer_share(&audio->member, &audio->encoder.format);
    if (!encoding || audio->sinks)
        vp_mixer_hear(&audio->member, audio->frame, heard);
    if (!encoding) {
        vp_audio_say(audio, heard);
        return 0;
    }
    vp_audio_say_shared(audio, heard);
    if (!encoding->full || !vp_audio_shared_packet(audio, encoding->length, &rtp))
        return 0;
    memcpy(packet + VP_RTP_HEADER, encoding->payload, rtp.payload_length);
    return vp_port_emit_audio(port, context, packet, &rtp);
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
    else if (vp_port_is_told(port))
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
    return vp_port_emit_audio(port, context, packet, &rtp);
}

/* Whether vp_port_produce_audio has more at this tick: packets may be shorter than it, and one that is left out for silence
 * is not the last. */
static inline bool vp_port_owes_audio(const vp_port *port) {
    return port->audio && !port->speaking && vp_audio_is_due(port->audio);
}

/* What the port itself sends at this tick, into VP_PRODUCED octets; its length, or 0. There may be more of it:
 * vp_port_owes_audio. */
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

/* Ticks that came too late to make up for: a pause to the listener, nothing is lost; a recording knows what it lacks. */
static inline void vp_port_skip(vp_port *port, uint32_t ticks) {
    port->player.timestamp += ticks * VP_FRAME;
    if (!port->audio)
        return;
    vp_audio_pause(port->audio);
    port->audio->tick += ticks;
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

#endif
