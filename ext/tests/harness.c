/* The kernels and the worker without an interpreter, for the sanitizers.
 *
 *   harness kernels COUNT SEED   random and mutated datagrams and commands into ports on a manual clock
 *   harness worker SECONDS       a worker thread with sockets, fed and commanded from this thread
 *   harness rings COUNT          producer and consumer threads over one ring
 *   harness speech COUNT         a program that writes and flushes, and a worker that says it
 */
#include <inttypes.h>

#include "speech.h"
#include "worker.h"

enum { PORTS = 6 };

static _Thread_local uint64_t state = 4711; /* fakes of codecs draw on the workers */

static uint32_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static void expect(bool fact, const char *name) {
    if (fact)
        return;
    fprintf(stderr, "harness: %s\n", name);
    exit(1);
}

static void give(vp_worker *worker, vp_command command) { expect(vp_worker_command(worker, &command), "command ring full"); }

static void open_port(vp_worker *worker, uint32_t slot, int rtp_fd, int rtcp_fd) {
    vp_command command = {.kind = VP_COMMAND_OPEN, .slot = slot};
    vp_port_reserve(&worker->ports[slot], worker->index);
    command.open = (vp_open){.id = 1 << 20 | slot, .rtp_fd = rtp_fd, .rtcp_fd = rtcp_fd, .ssrc = draw(),
                             .timestamp = draw(), .sequence = (uint16_t)draw()};
    give(worker, command);
}

static void set_remote(vp_worker *worker, uint32_t slot, const char *host, uint16_t port) {
    vp_command command = {.kind = VP_COMMAND_REMOTE, .slot = slot};
    command.remote = (vp_remote){.window = draw() % 4 * VP_SECOND, .clock_rate = 8000, .event_rate = 8000, .telephone_event = 101};
    vp_address_parse(&command.remote.sdp, host, port);
    if (draw() % 4 == 0)
        vp_address_parse(&command.remote.signalling, "10.0.0.9", 5060);
    memset(command.remote.accepted, draw() % 8 ? 0xff : (int)draw() & 0xff, 16);
    give(worker, command);
}

static void relay(vp_worker *worker, uint32_t slot, uint32_t other) {
    vp_command command = {.kind = VP_COMMAND_ROUTE, .slot = slot, .other = other};
    for (int i = 0; i < 128; i++)
        command.route.map[i] = (uint8_t)i;
    give(worker, command);
}

enum { PROMPTS = 4 };
static vp_prompt *prompts[PROMPTS];

static void make_prompts(void) {
    uint8_t codes[1000];
    memset(codes, 0x7f, sizeof codes);
    for (uint32_t i = 1; i < PROMPTS; i++)
        expect((prompts[i] = vp_prompt_new(codes, 1 + draw() % sizeof codes, 0)) != NULL, "no memory");
    expect((prompts[0] = vp_prompt_new(codes, 60, 3)) != NULL, "no memory"); /* of a codec with payloads */
    for (uint32_t i = 0; i < 3; i++)
        vp_prompt_set_frame(prompts[0], i, 20);
}

static void drop_prompts(void) {
    for (uint32_t i = 0; i < PROMPTS; i++)
        vp_prompt_release(prompts[i]);
}

static void play(vp_worker *worker, uint32_t slot) {
    vp_command command = {.kind = VP_COMMAND_PLAY, .slot = slot};
    command.play = (vp_play){.list = vp_playlist_new(1 + draw() % 3, draw() % 3), .id = draw(), .start = draw() % 4000,
                             .stop_digits = (uint16_t)draw(), .silence = 0xff};
    expect(command.play.list != NULL, "no memory");
    for (uint32_t i = 0; i < command.play.list->count; i++)
        vp_playlist_set(command.play.list, i, prompts[draw() % PROMPTS]);
    give(worker, command);
}

static void press(vp_worker *worker, uint32_t slot) {
    vp_command command = {.kind = VP_COMMAND_KEYS, .slot = slot};
    command.keys = (vp_keypad){.id = draw(), .on = 1 + draw() % 10, .off = VP_KEY_OFF_MIN + draw() % 3, .payload_type = 101,
                               .count = 1 + draw() % VP_KEYS_MAX};
    give(worker, command);
}

/* A libsrtp that is none: a tag of ten octets, of which one is checked. Touches every octet that the real one may. */
static int stub_protect(void *session, void *packet, int *length) {
    expect(session != NULL, "sealed without a session");
    memset((uint8_t *)packet + *length, 0x5a, VP_SRTP_SLACK);
    *length += 10;
    return draw() % 50 ? 0 : VP_SRTP_REPLAY_FAIL;
}

static int stub_unprotect(void *session, void *packet, int *length) {
    (void)packet;
    expect(session != NULL, "opened without a session");
    if (*length < VP_RTP_HEADER + 10)
        return 2;
    *length -= 10;
    return draw() % 4 ? 0 : draw() % 2 ? VP_SRTP_AUTH_FAIL : VP_SRTP_REPLAY_OLD;
}

static int stub_get_roc(void *session, uint32_t ssrc, uint32_t *roc) {
    *roc = ssrc & 1;
    return session == NULL;
}

static int stub_set_roc(void *session, uint32_t ssrc, uint32_t roc) { return session == NULL || ssrc + roc == 0; }
static int stub_update(void *session, const void *policy) { return session == NULL || policy == NULL || draw() % 20 == 0; }

static const vp_srtp_library stub = {stub_protect, stub_unprotect, stub_protect, stub_unprotect,
                                     stub_get_roc, stub_set_roc, stub_update};

static void set_crypto(vp_worker *worker, uint32_t slot) {
    static int sessions[2];
    vp_command command = {.kind = VP_COMMAND_CRYPTO, .slot = slot};
    command.crypto = (vp_crypto){.library = &stub, .send = sessions, .receive = sessions + draw() % 2, .version = draw(),
                                 .state = (uint8_t)(draw() % 3), .ssrc = 7, .continues = draw() % 2, .dtls = draw() % 2,
                                 .policy = draw() % 3 ? NULL : sessions};
    if (draw() % 4 == 0) {
        command.crypto.mki_length = (uint8_t)(draw() % (VP_SRTP_MKI_MAX + 1));
        command.crypto.mki_tail = command.crypto.mki_rtcp_tail = 10;
    }
    if (draw() % 4 == 0)
        vp_address_parse(&command.crypto.source, "10.0.0.1", (uint16_t)(4000 + slot));
    give(worker, command);
}

static uint64_t sunk, released;

static void sink_take(vp_sink *sink, vp_side side, const int16_t *samples, uint32_t count, uint64_t tick) {
    expect(count == sink->rate / VP_TICKS_PER_SECOND && (side == VP_HEARD || side == VP_SAID), "a frame of another length");
    sunk += (uint16_t)samples[count - 1] + tick;
}

static void sink_release(vp_sink *sink) {
    __atomic_add_fetch(&released, 1, __ATOMIC_RELAXED);
    free(sink);
}

static bool source_give(vp_source *source, int16_t *samples, uint32_t count) {
    memset(samples, (int)source->id & 0xff, count * sizeof *samples);
    return source->id % 3;
}

static void source_release(vp_source *source) { free(source); }

static const uint32_t rates[] = {8000, 16000, 48000};

static void attach(vp_worker *worker, uint32_t slot) {
    vp_sink *sink = calloc(1, sizeof *sink);
    vp_source *source = calloc(1, sizeof *source);
    expect(sink && source, "no memory");
    *sink = (vp_sink){.id = draw() % 4, .rate = rates[draw() % 3], .sides = 1 + draw() % 3, .take = sink_take,
                      .release = sink_release};
    *source = (vp_source){.id = draw() % 4, .rate = rates[draw() % 3], .give = source_give, .release = source_release};
    give(worker, (vp_command){.kind = VP_COMMAND_SINK, .slot = slot, .sink = sink});
    give(worker, (vp_command){.kind = VP_COMMAND_SOURCE, .slot = slot, .source = source});
}

/* A libopus that is none: it writes every sample and octet that the real one may. */
static void *opus_encoder(int32_t rate, int channels, int application, int *error) {
    *error = rate < 8000 || channels != 1 || (application != VP_OPUS_VOIP && application != VP_OPUS_AUDIO);
    return malloc(1);
}

static void *opus_decoder(int32_t rate, int channels, int *error) {
    *error = rate < 8000 || channels != 1;
    return malloc(1);
}

static int32_t opus_encode(void *encoder, const int16_t *samples, int count, unsigned char *packet, int32_t most) {
    expect(encoder != NULL && most == VP_OPUS_PACKET_MAX, "an odd packet");
    memset(packet, samples[count - 1], (size_t)most);
    return (int32_t)(draw() % (uint32_t)most);
}

static int opus_decode(void *decoder, const unsigned char *packet, int32_t length, int16_t *samples, int most, int fec) {
    expect(decoder != NULL && (packet != NULL) == (length > 0) && most <= VP_PACKET_SAMPLES, "an odd decode");
    int count = packet && !fec ? (int)(draw() % (uint32_t)(most + 1)) : most;
    memset(samples, packet ? packet[length - 1] : 0, (size_t)count * sizeof *samples);
    return draw() % 8 ? count : -4;
}

static int opus_ctl(void *encoder, int request, ...) { return encoder == NULL || request == 0; }

static const vp_opus fake_opus = {opus_encoder, free, opus_encode, opus_ctl, opus_decoder, free, opus_decode};

/* As bcg729 would; a frame that begins with 0xff is none. */
static void *plugin_new(const vp_plugin *plugin) { return malloc(plugin->frame); }

static void plugin_free(const vp_plugin *plugin, void *state) {
    expect(plugin != NULL, "a plug-in");
    free(state);
}

static int plugin_encode(const vp_plugin *plugin, void *encoder, const int16_t *samples, uint8_t *octets) {
    memset(encoder, samples[0], plugin->frame);
    memset(octets, samples[plugin->frame - 1], plugin->frame_octets);
    return (int)plugin->frame_octets;
}

static void plugin_conceal(const vp_plugin *plugin, void *decoder, int16_t *samples) {
    memset(samples, *(uint8_t *)decoder, plugin->frame * sizeof *samples);
}

static int plugin_decode(const vp_plugin *plugin, void *decoder, const uint8_t *octets, uint32_t length, int16_t *samples) {
    memset(decoder, octets[0], plugin->frame);
    plugin_conceal(plugin, decoder, samples);
    return octets[0] == 0xff || length < plugin->frame_octets ? -1 : (int)plugin->frame_octets;
}

static const vp_plugin fake_plugin = {.frame = 80, .frame_octets = 10, .encoder_new = plugin_new, .encoder_free = plugin_free,
                                      .encode = plugin_encode, .decoder_new = plugin_new, .decoder_free = plugin_free,
                                      .decode = plugin_decode, .conceal = plugin_conceal};

/* Payload types 0..6 are decoded, so that random packets meet every codec. */
static void set_audio(vp_worker *worker, uint32_t slot) {
    vp_format formats[VP_CODECS];
    vp_audio_plan plan = {.rate = rates[draw() % 3], .receive = formats, .told = formats, .encodes = draw() % 2,
                          .noise = draw() % 2 ? 13 : -1};
    for (uint32_t i = 0; i < VP_CODECS; i++)
        formats[i] = (vp_format){.kind = (uint8_t)i, .payload_type = (uint8_t)i, .ptime_ms = 10 * (1 + draw() % 6),
                                 .clock_rate = i == VP_CODEC_OPUS ? 48000 : 8000, .opus = &fake_opus,
                                 .plugin = &fake_plugin,
                                 .rate = i == VP_CODEC_OPUS ? plan.rate : i == VP_CODEC_G722 ? 16000 : 8000};
    plan.receive_count = VP_CODECS;
    plan.told_count = draw() % 2 ? VP_CODECS : 0;
    uint32_t sent = draw() % VP_CODECS;
    plan.send = draw() % 4 && sent != VP_CODEC_CN ? &formats[sent] : NULL;
    vp_audio *audio = draw() % 6 ? vp_audio_new(&plan) : NULL;
    give(worker, (vp_command){.kind = VP_COMMAND_AUDIO, .slot = slot, .audio = audio});
}

static vp_mixer *rooms[2];

static void mix(vp_worker *worker, uint32_t slot) {
    vp_command command = {.kind = VP_COMMAND_MIX, .slot = slot};
    command.mix = (vp_mix){.mixer = draw() % 5 ? rooms[draw() % 2] : NULL, .gain = (int32_t)(draw() % VP_GAIN_MAX),
                           .muted = draw() % 3 == 0, .told = draw() % 4 != 0,
                           .aside = (uint8_t)(draw() % (VP_ASIDES + 1)), .confided = (uint8_t)(draw() % (VP_ASIDES + 1))};
    if (command.mix.mixer)
        vp_mixer_hold(command.mix.mixer);
    give(worker, command);
    if (draw() % 3)
        return;
    int16_t samples[3000];
    memset(samples, (int)draw() & 0xff, sizeof samples);
    vp_notice *notice = vp_notice_new(samples, 1 + draw() % 3000);
    expect(notice != NULL, "no memory");
    give(worker, (vp_command){.kind = VP_COMMAND_ANNOUNCE, .slot = slot, .notice = notice});
}

static void random_command(vp_worker *worker) {
    static const uint8_t kinds[] = {VP_COMMAND_UNROUTE, VP_COMMAND_ECHO, VP_COMMAND_HOLD, VP_COMMAND_MUTE};
    uint32_t slot = draw() % PORTS, other = (slot + 1 + draw() % (PORTS - 1)) % PORTS;
    switch (draw() % 19) {
    case 18:
        give(worker, (vp_command){.kind = VP_COMMAND_CARRY, .slot = slot, .carries = draw() % 3});
        break;
    case 12:
        set_crypto(worker, slot);
        break;
    case 0:
        give(worker, (vp_command){.kind = VP_COMMAND_CLOSE, .slot = slot});
        open_port(worker, slot, -1, -1);
        relay(worker, slot, other);
        /* fall through */
    case 1:
        set_remote(worker, slot, draw() % 6 ? "10.0.0.1" : "2001:db8::1", (uint16_t)(4000 + slot));
        break;
    case 2:
    case 3:
        relay(worker, slot, other);
        relay(worker, other, slot);
        break;
    case 4:
    case 5:
        play(worker, slot);
        break;
    case 13:
    case 15:
        set_audio(worker, slot);
        break;
    case 16:
    case 17:
        mix(worker, slot);
        break;
    case 14:
        attach(worker, slot);
        break;
    case 6:
        press(worker, slot);
        break;
    case 7:
        give(worker, (vp_command){.kind = VP_COMMAND_STOP_PLAY, .slot = slot, .play = {.id = worker->ports[slot].player.id}});
        break;
    default:
        give(worker, (vp_command){.kind = kinds[draw() % 4], .slot = slot, .enabled = draw() % 4 == 0});
    }
}

/* A plausible packet, then a few bytes changed or a length cut: most must get past the first checks. */
static size_t random_packet(uint8_t *packet, bool rtcp, uint32_t slot) {
    static uint16_t sequence[PORTS];
    static uint32_t timestamp[PORTS];
    size_t length = rtcp ? 8 + 4 * (draw() % 40) : 12 + draw() % 300;
    for (size_t i = 0; i < length; i++)
        packet[i] = (uint8_t)draw();
    static const uint8_t firsts[] = {0, 1, 22, 63, 64, 191, 192};
    packet[0] = draw() % 40 ? 0x80 : firsts[draw() % sizeof firsts];
    packet[1] = rtcp ? (uint8_t)(200 + draw() % 4) : (uint8_t[]){0, 8, 101, 111}[draw() % 4];
    vp_put16(packet + 2, rtcp ? (uint16_t)(length / 4 - 1) : sequence[slot]++);
    if (!rtcp) {
        vp_put32(packet + 4, timestamp[slot] += 160);
        vp_put32(packet + 8, draw() % 50 ? 7 : draw());
        packet[12] = (uint8_t)(draw() % 18);
    }
    for (uint32_t changes = draw() % 2 ? 0 : draw() % 6; changes; changes--)
        packet[draw() % (draw() % 2 ? 16 : length) % length] = (uint8_t)draw();
    return draw() % 10 ? length : draw() % (length + 1);
}

static uint64_t dropped[VP_DROP_REASONS];

static void count_drops(const vp_port *port) {
    for (int reason = 0; reason < VP_DROP_REASONS; reason++)
        dropped[reason] += port->counters.dropped[reason];
}

static void forward(vp_port *out, const uint8_t *packet, size_t length, uint64_t *forwarded) {
    uint8_t *sealed = malloc(VP_MAX_PACKET + VP_SRTP_SLACK);
    if (out && vp_srtp_seal(&out->srtp, sealed, packet, &length, false))
        *forwarded += 1;
    free(sealed);
}

static void feed_one(vp_worker *worker, uint64_t *forwarded) {
    /* Of the exact size, so that the address sanitizer sees the first byte read too far. */
    uint8_t scratch[VP_MAX_PACKET];
    uint32_t slot = draw() % PORTS;
    bool rtcp = draw() % 8 == 0;
    size_t length = random_packet(scratch, rtcp, slot);
    uint8_t *packet = malloc(length ? length : 1);
    memcpy(packet, scratch, length);
    vp_port *port = &worker->ports[slot];
    memset(port->counters.dropped, 0, sizeof port->counters.dropped);
    vp_address source;
    vp_address_parse(&source, draw() % 4 ? "10.0.0.1" : "10.0.0.9", (uint16_t)(4000 + slot + (draw() % 9 == 0)));
    int is_rtcp = rtcp && draw() % 2;
    if (port->carries) {
        vp_address to;
        forward(vp_carry_receive(port, &worker->context, packet, &length, &source, &is_rtcp, &to), packet, length, forwarded);
    } else if (is_rtcp)
        vp_port_receive_rtcp(port, &worker->context, packet, length, &source);
    else
        forward(vp_port_receive(port, &worker->context, packet, &length, &source), packet, length, forwarded);
    count_drops(port);
    free(packet);
}

static uint64_t produced;

/* Into memory of the exact size, as above. */
static void produce(vp_worker *worker) {
    vp_worker_listen(worker);
    for (uint32_t i = worker->producing_count; i-- > 0;) {
        vp_port *port = &worker->ports[worker->producing[i]];
        uint8_t *packet = malloc(VP_PRODUCED);
        expect(port->producing && port->place == i, "a place is wrong");
        size_t length = vp_port_produce(port, &worker->context, packet);
        for (;;) {
            expect(length <= VP_PRODUCED, "too long");
            produced += length != 0;
            if (!vp_port_owes_audio(port))
                break;
            length = vp_port_produce_audio(port, &worker->context, packet);
        }
        free(packet);
        vp_worker_settle(worker, port);
    }
}

static void step_time(vp_worker *worker) {
    uint8_t *report = malloc(VP_RTCP_MAX);
    vp_address to;
    worker->context.now += 20 * VP_MILLISECOND + (draw() % 500 ? 0 : 40 * VP_SECOND);
    worker->context.wallclock = worker->context.now;
    produce(worker);
    for (uint32_t slot = 0; slot < PORTS; slot++) {
        vp_port_sweep(&worker->ports[slot], &worker->context);
        vp_port_due_report(&worker->ports[slot], &worker->context, report, &to);
    }
    free(report);
}

static int run_kernels(uint64_t count, uint64_t seed) {
    vp_port *ports = calloc(PORTS, sizeof *ports);
    vp_worker *worker = calloc(1, sizeof *worker);
    vp_event event;
    uint32_t armed = 0;
    uint64_t forwarded = 0, events = 0, flights = 0;
    vp_flight flight;
    state = seed * 0x9e3779b97f4a7c15ULL | 1;
    expect(!vp_worker_init(worker, 0, ports, PORTS, true, 30 * VP_SECOND, -1, &armed, 1024), "no memory");
    make_prompts();
    for (int i = 0; i < 2; i++)
        expect((rooms[i] = vp_mixer_new(16000, i == 1)) != NULL, "no memory");
    worker->context.now = VP_SECOND;
    for (uint32_t slot = 0; slot < PORTS; slot++)
        open_port(worker, slot, -1, -1);
    for (uint64_t i = 0; i < count; i++) {
        feed_one(worker, &forwarded);
        if (i % 8 == 0)
            step_time(worker);
        if (i % 256 == 0)
            random_command(worker);
        while (vp_ring_pop(&worker->events, &event))
            events++;
        while (vp_ring_pop(&worker->flights, &flight))
            flights++;
    }
    printf("dropped:");
    for (int reason = 0; reason < VP_DROP_REASONS; reason++)
        printf(" %" PRIu64, dropped[reason]);
    for (uint32_t slot = 0; slot < PORTS; slot++)
        give(worker, (vp_command){.kind = VP_COMMAND_CLOSE, .slot = slot});
    expect(worker->owned_count == 0, "a port is still owned");
    expect(worker->producing_count == 0, "a port still plays");
    for (uint32_t i = 0; i < PROMPTS; i++)
        expect(prompts[i]->references == 1, "a prompt is still held");
    for (int i = 0; i < 2; i++) {
        expect(rooms[i]->references == 1, "a room is still held");
        vp_mixer_release(rooms[i]);
    }
    drop_prompts();
    vp_worker_free(worker);
    free(worker);
    free(ports);
    printf("\nkernels: %" PRIu64 " datagrams, %" PRIu64 " forwarded, %" PRIu64 " produced, %" PRIu64 " events, %" PRIu64
           " flights\n", count, forwarded, produced, events, flights);
    return 0;
}

static void *worker_thread(void *worker) {
    vp_worker_run(worker);
    return NULL;
}

static int open_socket(uint16_t *number) {
    vp_address local;
    socklen_t size = sizeof local;
    vp_address_parse(&local, "127.0.0.1", 0);
    int fd = vp_socket_open(&local, 46);
    expect(fd >= 0 && !getsockname(fd, &local.any, &size), "no socket");
    *number = vp_address_port(&local);
    return fd;
}

/* Ports are opened, relayed, moved between two workers and closed while packets flow; counters are read all the while. */
static int run_worker(int seconds) {
    enum { ROUNDS_PER_SECOND = 50 };
    vp_port *ports = calloc(PORTS, sizeof *ports);
    vp_worker *workers = calloc(2, sizeof *workers);
    pthread_t threads[2];
    uint32_t armed = 1;
    uint64_t seen = 0;
    int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    state = 4711;
    make_prompts();
    for (uint32_t i = 0; i < 2; i++) {
        expect(!vp_worker_init(&workers[i], i, ports, PORTS, false, VP_SECOND, event_fd, &armed, 64), "no worker");
        expect(!pthread_create(&threads[i], NULL, worker_thread, &workers[i]), "no thread");
    }
    for (int round = 0; round < seconds * ROUNDS_PER_SECOND; round++) {
        uint16_t phone_number[2], port_number[2];
        int phone[2];
        for (uint32_t slot = 0; slot < 2; slot++) {
            uint16_t unused;
            phone[slot] = open_socket(&phone_number[slot]);
            while (!vp_port_is_free(&ports[slot]))
                usleep(50);
            open_port(&workers[slot], slot, open_socket(&port_number[slot]), open_socket(&unused));
            set_remote(&workers[slot], slot, "127.0.0.1", phone_number[slot]);
        }
        play(&workers[0], 0);
        play(&workers[1], 1);
        press(&workers[1], 1);
        set_audio(&workers[0], 0);
        set_audio(&workers[1], 1);
        attach(&workers[0], 0);
        give(&workers[1], (vp_command){.kind = VP_COMMAND_MOVE, .slot = 1, .other = 0});
        give(&workers[0], (vp_command){.kind = VP_COMMAND_ADOPT, .slot = 1});
        uint32_t joined = draw() % 2 ? 0 : 12; /* until then its ports may wait for the tick */
        for (uint16_t i = 0; i < 20; i++) {
            if (i == joined) {
                relay(&workers[0], 0, 1);
                relay(&workers[0], 1, 0);
            }
            uint8_t packet[172] = {0x80, 0};
            vp_address to, source;
            vp_put16(packet + 2, i);
            vp_put32(packet + 4, i * 160u);
            for (int side = 0; side < 2; side++) {
                vp_address_parse(&to, "127.0.0.1", port_number[side]);
                vp_socket_send(phone[side], packet, sizeof packet, &to);
                seen += VP_READ(ports[side].counters.packets_in);
                vp_read_source(&ports[side], &source);
            }
            if (i == 10 && draw() % 2)
                play(&workers[0], draw() % 2);
            usleep(i % 5 ? 100 : 4000);
        }
        for (uint32_t slot = 0; slot < 2; slot++) {
            give(&workers[0], (vp_command){.kind = VP_COMMAND_CLOSE, .slot = slot});
            close(phone[slot]);
        }
        vp_event event;
        for (int i = 0; i < 2; i++)
            while (vp_ring_pop(&workers[i].events, &event))
                seen++;
        __atomic_exchange_n(&armed, 1, __ATOMIC_SEQ_CST);
    }
    for (int i = 0; i < 2; i++)
        give(&workers[i], (vp_command){.kind = VP_COMMAND_STOP});
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        vp_worker_free(&workers[i]);
    for (uint32_t i = 0; i < PROMPTS; i++)
        expect(__atomic_load_n(&prompts[i]->references, __ATOMIC_ACQUIRE) == 1, "a prompt is still held");
    drop_prompts();
    close(event_fd);
    free(workers);
    free(ports);
    expect(seen > 0, "nothing was received");
    printf("worker: %d calls opened, moved and closed\n", seconds * ROUNDS_PER_SECOND);
    return 0;
}

static uint64_t ring_count;

static void *ring_producer(void *ring) {
    for (uint64_t i = 0; i < ring_count;)
        i += vp_ring_push(ring, &i);
    return NULL;
}

static int run_rings(uint64_t count) {
    vp_ring *ring = aligned_alloc(64, sizeof *ring);
    pthread_t producer;
    uint64_t value;
    ring_count = count;
    expect(ring && !vp_ring_init(ring, 64, sizeof value), "no memory");
    expect(!pthread_create(&producer, NULL, ring_producer, ring), "no thread");
    for (uint64_t i = 0; i < count;) {
        if (!vp_ring_pop(ring, &value))
            continue;
        expect(value == i++, "a record was lost or doubled");
    }
    pthread_join(producer, NULL);
    vp_ring_free(ring);
    free(ring);
    printf("rings: %" PRIu64 " records in order\n", count);
    return 0;
}

static uint64_t speech_count;

static int16_t speech_sample(uint64_t position) { return (int16_t)(1 + position % 30000); }

/* The face: writes, and takes back what waits, in bursts. */
static void *speech_writer(void *speech_of) {
    vp_speech *speech = speech_of;
    int16_t samples[300];
    uint64_t position = 0, draws = 88172645463325252ull;
    for (uint64_t i = 0; i < speech_count; i++) {
        draws ^= draws << 13, draws ^= draws >> 7, draws ^= draws << 17;
        for (uint32_t at = 0; at < 300; at++)
            samples[at] = speech_sample(position + at);
        position += vp_speech_write(speech, samples, 1 + draws % 300);
        if (draws >> 60 == 0)
            expect(vp_speech_flush(speech) == position, "flushed elsewhere");
    }
    __atomic_store_n(&speech->finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void expect_said(const vp_speech *speech, const int16_t *samples, uint32_t count) {
    expect(speech->played <= __atomic_load_n(&speech->written, __ATOMIC_ACQUIRE), "said what was not written");
    for (uint32_t at = 1; at < count && samples[at]; at++)
        expect(samples[at] == samples[at - 1] % 30000 + 1, "said what was flushed or not yet written");
}

static int run_speech(uint64_t count) {
    vp_speech *speech = vp_speech_new(1, 8000, 1024, 160);
    pthread_t writer;
    int16_t samples[160];
    uint64_t said = 0;
    speech_count = count;
    expect(speech && !pthread_create(&writer, NULL, speech_writer, speech), "no thread");
    while (!__atomic_load_n(&speech->finished, __ATOMIC_ACQUIRE) || speech->played < speech->written) {
        said += vp_speech_give(&speech->source, samples, 160);
        expect_said(speech, samples, 160);
    }
    pthread_join(writer, NULL);
    vp_speech_release(speech);
    printf("speech: %" PRIu64 " writes, %" PRIu64 " frames said\n", count, said);
    return 0;
}

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "kernels"))
        return run_kernels(strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10));
    if (count == 3 && !strcmp(words[1], "worker"))
        return run_worker(atoi(words[2]));
    if (count == 3 && !strcmp(words[1], "rings"))
        return run_rings(strtoull(words[2], NULL, 10));
    if (count == 3 && !strcmp(words[1], "speech"))
        return run_speech(strtoull(words[2], NULL, 10));
    fprintf(stderr, "usage: harness kernels COUNT SEED | worker SECONDS | rings COUNT | speech COUNT\n");
    return 2;
}
