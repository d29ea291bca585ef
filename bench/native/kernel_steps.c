/* The media kernels with nothing around them, for counting instructions: `kernel_steps WHAT COUNT`.
 *
 * WHAT: "relay": a packet of G.711 into a port, checked, measured and rewritten for its peer. "room": 20 ms of a room of ten
 * who speak. "party": ten phones of a room, a packet in and one out of each. "pitch": the search for a period in 40 ms. "resample": 20 ms from 8 to 48 kHz.
 */
#include <stdio.h>

#include "worker.h"

enum { PARTIES = 10 };

static vp_port ports[PARTIES];
static vp_worker worker;
static uint32_t armed;

static void give(vp_command command) {
    if (!vp_worker_command(&worker, &command))
        exit(1);
}

static void open_port(uint32_t slot) {
    vp_port_reserve(&ports[slot], 0);
    give((vp_command){.kind = VP_COMMAND_OPEN, .slot = slot, .open = {.id = 1 << 20 | slot, .rtp_fd = -1, .rtcp_fd = -1, .ssrc = slot + 1}});
    vp_command command = {.kind = VP_COMMAND_REMOTE, .slot = slot};
    command.remote = (vp_remote){.clock_rate = 8000, .event_rate = 8000, .telephone_event = 101};
    vp_address_parse(&command.remote.sdp, "192.0.2.1", (uint16_t)(4000 + slot));
    memset(command.remote.accepted, 0xff, sizeof command.remote.accepted);
    give(command);
}

static void connect_ports(void) {
    vp_command command = {.kind = VP_COMMAND_ROUTE, .slot = 0, .other = 1};
    for (int i = 0; i < 128; i++)
        command.route.map[i] = (uint8_t)i;
    give(command);
}

static void relay(int count) {
    vp_address source;
    uint8_t packet[VP_MAX_PACKET] = {0x80};
    open_port(0);
    open_port(1);
    connect_ports();
    vp_address_parse(&source, "192.0.2.1", 4000);
    for (int i = 0; i < count; i++) {
        size_t length = 172;
        uint16_t sequence = htons((uint16_t)i);
        uint32_t timestamp = htonl((uint32_t)i * 160);
        memcpy(packet + 2, &sequence, 2);
        memcpy(packet + 4, &timestamp, 4);
        memset(packet + 8, 7, 4);
        packet[1] = 0;
        worker.context.now += 20 * VP_MILLISECOND;
        if (!vp_port_receive(&ports[0], &worker.context, packet, &length, &source))
            exit(2);
    }
}

static void fill(int16_t *samples, uint32_t count) {
    for (uint32_t i = 0, state = 1; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = (int16_t)(3000 * ((int)(i % 90) - 45) / 45 + (int)(state >> 24));
    }
}

static void room(int count) {
    static vp_membership members[PARTIES];
    int16_t frames[PARTIES][VP_PCM_FRAME], heard[VP_PCM_FRAME];
    vp_mixer *mixer = vp_mixer_new(8000, false);
    for (int i = 0; i < PARTIES; i++) {
        members[i] = (vp_membership){.mixer = mixer, .layer = vp_mixer_layer(mixer, 8000), .gain = VP_GAIN_ONE};
        fill(frames[i], 160);
    }
    for (int turn = 1; turn <= count; turn++) {
        for (int i = 0; i < PARTIES; i++)
            vp_mixer_add(&members[i], frames[i], (uint32_t)turn);
        for (int i = 0; i < PARTIES; i++)
            vp_mixer_hear(&members[i], frames[i], heard);
    }
}

/* A packet of G.711 in, a tick, and what each says: no packet leaves on the manual clock. */
static void party(int count) {
    static uint8_t sound[PARTIES][160];
    vp_format form = {.kind = VP_CODEC_PCMU, .ptime_ms = 20, .clock_rate = 8000, .rate = 8000};
    vp_audio_plan plan = {.rate = 8000, .receive = &form, .receive_count = 1, .send = &form, .noise = -1};
    vp_mixer *mixer = vp_mixer_new(16000, false);
    uint8_t packet[VP_MAX_PACKET] = {0x80};
    int16_t samples[160];
    vp_address source;
    fill(samples, 160);
    for (uint32_t slot = 0; slot < PARTIES; slot++) {
        open_port(slot);
        vp_ulaw_encode_all(samples, sound[slot], 160);
        give((vp_command){.kind = VP_COMMAND_AUDIO, .slot = slot, .audio = vp_audio_new(&plan)});
        vp_mixer_hold(mixer);
        give((vp_command){.kind = VP_COMMAND_MIX, .slot = slot, .mix = {.mixer = mixer, .gain = VP_GAIN_ONE, .told = true}});
    }
    for (int i = 0; i < count; i++) {
        for (uint32_t slot = 0; slot < PARTIES; slot++) {
            size_t length = 172;
            vp_put16(packet + 2, (uint16_t)i);
            vp_put32(packet + 4, (uint32_t)i * 160);
            vp_put32(packet + 8, slot + 7);
            memcpy(packet + VP_RTP_HEADER, sound[slot], 160);
            vp_address_parse(&source, "192.0.2.1", (uint16_t)(4000 + slot));
            vp_port_receive(&ports[slot], &worker.context, packet, &length, &source);
        }
        worker.context.now += 20 * VP_MILLISECOND;
        vp_worker_listen(&worker);
        for (uint32_t slot = 0; slot < PARTIES; slot++)
            if (!vp_port_produce(&ports[slot], &worker.context, packet))
                exit(4);
    }
}

static void pitch(int count) {
    int16_t samples[320];
    uint32_t sum = 0;
    fill(samples, 320);
    for (int i = 0; i < count; i++)
        sum += vp_stretch_period(samples, 320, 1, i & 1);
    if (count && !sum)
        exit(3);
}

static void resample(int count) {
    int16_t samples[160], out[VP_PCM_FRAME + 1];
    vp_resampler resampler;
    fill(samples, 160);
    if (vp_resampler_init(&resampler, 8000, 48000))
        exit(1);
    for (int i = 0; i < count; i++)
        vp_resample(&resampler, samples, 160, out);
}

int main(int count, char **words) {
    if (count != 3 || vp_worker_init(&worker, 0, ports, PARTIES, true, 0, -1, &armed, VP_EVENTS))
        return 2;
    int times = atoi(words[2]);
    worker.context.now = VP_SECOND;
    if (!strcmp(words[1], "relay"))
        relay(times);
    else if (!strcmp(words[1], "room"))
        room(times);
    else if (!strcmp(words[1], "party"))
        party(times);
    else if (!strcmp(words[1], "pitch"))
        pitch(times);
    else if (!strcmp(words[1], "resample"))
        resample(times);
    else
        return 2;
    return 0;
}
