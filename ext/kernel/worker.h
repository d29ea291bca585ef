/* A worker: one thread, two epoll sets, the ports that it owns. Runs without Python.
 *
 *   face ── commands (ring, eventfd) ──▶ worker ── events (ring, engine's eventfd when armed) ──▶ face
 *   sockets of ports that relay ─────────▶ each packet wakes it
 *   sockets of ports that only listen ───▶ read at the tick: in a room of 50 a wake for each packet costs more than the rest
 *
 * The face opens sockets and gives them away with OPEN; the worker closes them at CLOSE, and then sets the port's phase
 * to free: before that neither the slot nor the numbers of its sockets are used again. On the manual clock there is no
 * thread, no descriptor and no ring of commands; the face calls vp_worker_apply and vp_port_receive itself.
 */
#ifndef VP_WORKER_H
#define VP_WORKER_H

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "carry.h"
#include "command.h"
#include "produce.h"
#include "receive.h"
#include "report.h"
#include "socket.h"

enum {
    VP_COMMANDS = 1024,
    VP_EVENTS = 4096,
    VP_FLIGHTS = 64, /* datagrams of DTLS that wait for Python, 96 kB a worker; a lost one is sent again by its peer */
    VP_BATCH = 128,
    VP_SWEEP_SHARDS = 8, /* a tick visits one port in eight: 160 ms for a round, which keeps the caches for the packets */
    VP_DRAINED = 64, /* datagrams of a waiting socket that a tick reads: more than VP_RATE_LIMIT lets pass */
    VP_MAX_WORKERS = 64,
    VP_TICK_BUCKETS = 9, /* of vp_tick_late_us and above */
    VP_LINGER_MS = 2,
    VP_CATCH_UP = 5, /* frames sent at once for ticks that came late: what jitter buffers take */
    VP_CALM_TICKS = 5, /* 100 ms: how long events that nobody waits for gather before they wake the face */
};

#define VP_TICK (20 * VP_MILLISECOND)
#define VP_TAG_COMMANDS UINT64_MAX
#define VP_TAG_TICK (UINT64_MAX - 1)

typedef struct {
    vp_port *ports; /* the engine's table */
    uint32_t *owned; /* slots of this worker's ports; freed by vp_worker_free */
    uint32_t owned_count;
    uint32_t *producing; /* slots of those that play, send digits or have audio; likewise */
    uint32_t producing_count;
    uint32_t index;
    uint32_t tick; /* ticks seen; on the manual clock the number of the last one */
    int epoll_fd, command_fd, timer_fd; /* -1 on the manual clock, as the next */
    int waiting_fd; /* the epoll set of ports that wait for the tick */
    int event_fd;                       /* the engine's */
    uint32_t *armed;                    /* the engine's: the consumer sleeps on event_fd */
    bool manual, stopping, ticking, waiting;
    bool listens; /* some port of the list may have audio */
    bool lingers; /* it has just obeyed: what comes within VP_LINGER_MS waits for that time to end */
    uint32_t asleep; /* set before epoll_wait: only then does a command need a wake, of 15-30 µs on either side */
    clockid_t cpu_clock;
    uint32_t running; /* set by the thread once cpu_clock is valid */
    uint64_t events_lost;
    uint64_t late_ticks; /* ticks that came more than one period late */
    uint64_t tick_due;
    uint64_t lateness[VP_TICK_BUCKETS]; /* how many ticks were that late */
    vp_ring commands, events, flights;
    vp_command pending; /* an ADOPT whose port has not been let go yet, when `waiting` */
    vp_context context;
} vp_worker;

/* `events` is a power of two. */
static inline int vp_worker_init(
    vp_worker *worker, uint32_t index, vp_port *ports, uint32_t capacity, bool manual, uint64_t media_timeout,
    int event_fd, uint32_t *armed, uint32_t events
) {
    memset(worker, 0, sizeof *worker);
    worker->epoll_fd = worker->command_fd = worker->timer_fd = worker->waiting_fd = -1;
    worker->index = index;
    worker->ports = ports;
    worker->manual = manual;
    worker->event_fd = event_fd;
    worker->armed = armed;
    worker->owned = calloc(capacity, sizeof *worker->owned);
    worker->producing = calloc(capacity, sizeof *worker->producing);
    worker->context.media_timeout = media_timeout;
    worker->context.events = &worker->events;
    worker->context.flights = &worker->flights;
    worker->context.events_lost = &worker->events_lost;
    if (!worker->owned || !worker->producing || vp_ring_init(&worker->events, events, sizeof(vp_event))
        || vp_ring_init(&worker->flights, VP_FLIGHTS, sizeof(vp_flight)))
        return -1;
    if (manual)
        return 0;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->waiting_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->command_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN, .data.u64 = VP_TAG_COMMANDS};
    struct epoll_event tick = {.events = EPOLLIN, .data.u64 = VP_TAG_TICK};
    if (worker->epoll_fd < 0 || worker->waiting_fd < 0 || worker->command_fd < 0 || worker->timer_fd < 0
        || epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->command_fd, &commands)
        || epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->timer_fd, &tick))
        return -1;
    return vp_ring_init(&worker->commands, VP_COMMANDS, sizeof(vp_command));
}

static inline void vp_worker_free(vp_worker *worker) {
    VP_ASSERT(worker->owned_count == 0);
    int fds[] = {worker->epoll_fd, worker->waiting_fd, worker->command_fd, worker->timer_fd};
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    worker->epoll_fd = worker->waiting_fd = worker->command_fd = worker->timer_fd = -1;
    vp_ring_free(&worker->commands);
    vp_ring_free(&worker->events);
    vp_ring_free(&worker->flights);
    free(worker->owned);
    free(worker->producing);
    worker->owned = worker->producing = NULL;
}

static inline uint64_t vp_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * VP_SECOND + (uint64_t)time.tv_nsec;
}

static inline void vp_worker_read_clocks(vp_worker *worker) {
    if (worker->manual)
        return;
    worker->context.now = vp_clock(CLOCK_MONOTONIC);
    worker->context.wallclock = vp_clock(CLOCK_REALTIME);
}

/* A worker without ports sleeps. */
static inline void vp_worker_set_ticking(vp_worker *worker) {
    bool ticks = worker->owned_count > 0;
    if (worker->manual || ticks == worker->ticking)
        return;
    long period = ticks ? (long)VP_TICK : 0;
    struct itimerspec timer = {{0, period}, {0, period}};
    timerfd_settime(worker->timer_fd, 0, &timer, NULL);
    worker->tick_due = vp_clock(CLOCK_MONOTONIC) + VP_TICK;
    worker->ticking = ticks;
}

static inline void vp_worker_watch(vp_worker *worker, vp_port *port, int operation) {
    struct epoll_event rtp = {.events = EPOLLIN, .data.u64 = (uint64_t)port->slot << 1};
    struct epoll_event rtcp = {.events = EPOLLIN, .data.u64 = (uint64_t)port->slot << 1 | 1};
    int set = port->waits ? worker->waiting_fd : worker->epoll_fd;
    if (worker->manual)
        return;
    epoll_ctl(set, operation, port->rtp_fd, &rtp);
    epoll_ctl(set, operation, port->rtcp_fd, &rtcp);
}

static inline void vp_worker_set_waits(vp_worker *worker, vp_port *port, bool waits) {
    if (worker->manual || waits == port->waits)
        return;
    vp_worker_watch(worker, port, EPOLL_CTL_DEL);
    port->waits = waits;
    vp_worker_watch(worker, port, EPOLL_CTL_ADD);
    if (waits) {
        vp_socket_stamp(port->rtp_fd);
        vp_socket_stamp(port->rtcp_fd);
    }
}

/* After a command: what comes may have to go on at once now, to the port or from it. */
static inline void vp_worker_hurry(vp_worker *worker, vp_port *port) {
    vp_port *both[] = {port, port->peer};
    for (int i = 0; i < 2; i++)
        if (both[i] && both[i]->waits && !vp_port_can_wait(both[i]))
            vp_worker_set_waits(worker, both[i], false);
}

static inline void vp_worker_list(vp_worker *worker, vp_port *port) {
    port->speaking = vp_port_speaks(port);
    worker->listens |= port->audio != NULL;
    if (port->producing || !vp_port_produces(port))
        return;
    port->producing = true;
    port->place = worker->producing_count;
    worker->producing[worker->producing_count++] = port->slot;
}

static inline void vp_worker_unlist(vp_worker *worker, vp_port *port) {
    if (!port->producing)
        return;
    uint32_t last = worker->producing[--worker->producing_count];
    worker->producing[port->place] = last;
    worker->ports[last].place = port->place;
    port->producing = false;
}

static inline void vp_worker_own(vp_worker *worker, vp_port *port) {
    port->position = worker->owned_count;
    worker->owned[worker->owned_count++] = port->slot;
    vp_worker_list(worker, port);
    vp_worker_watch(worker, port, EPOLL_CTL_ADD);
    vp_worker_set_ticking(worker);
}

static inline void vp_worker_disown(vp_worker *worker, vp_port *port) {
    uint32_t last = worker->owned[--worker->owned_count];
    worker->owned[port->position] = last;
    worker->ports[last].position = port->position;
    vp_worker_unlist(worker, port);
    vp_worker_watch(worker, port, EPOLL_CTL_DEL);
    port->waits = false;
    vp_worker_set_ticking(worker);
}

static inline void vp_worker_send_rtcp(vp_port *port, const uint8_t *packet, size_t length, const vp_address *to) {
    uint8_t sealed[VP_MAX_PACKET + VP_SRTP_SLACK];
    if (!length)
        return;
    packet = vp_srtp_seal(&port->srtp, sealed, packet, &length, true);
    if (!packet)
        vp_count_drop(port, VP_DROP_SRTP_SEND);
    else
        vp_socket_send(port->rtcp_mux ? port->rtp_fd : port->rtcp_fd, packet, length, to);
}

/* Python's part of a handshake. */
static inline void vp_worker_send_flight(vp_port *port, const vp_flight_out *flight) {
    if (vp_socket_send(port->rtp_fd, flight->data, flight->length, port->connected ? NULL : &flight->to))
        vp_count_drop(port, VP_DROP_SEND_FAILED);
    free(flight->data);
}

/* On the manual clock the face has taken the last report before. */
static inline void vp_worker_close_port(vp_worker *worker, vp_port *port) {
    uint8_t packet[VP_RTCP_MAX];
    vp_address to;
    vp_port_unroute(port);
    vp_port_fall_silent(port);
    vp_worker_disown(worker, port);
    if (!worker->manual) {
        vp_worker_send_rtcp(port, packet, vp_port_last_report(port, &worker->context, packet, &to), &to);
        close(port->rtp_fd);
        close(port->rtcp_fd);
    }
    __atomic_store_n(&port->phase, VP_PHASE_FREE, __ATOMIC_RELEASE);
}

/* A connected socket costs 8 % less and the kernel then keeps strangers out; it must not be one while the latch may move. */
static inline void vp_worker_connect(vp_worker *worker, vp_port *port) {
    const vp_address *to = vp_latch_destination(&port->latch);
    /* A handshake may come from where no media has come from. */
    bool settled = to && vp_latch_settled(&port->latch, worker->context.now) && port->srtp.state != VP_CRYPTO_AWAITED;
    if (worker->manual || settled == port->connected)
        return;
    int failed = settled ? vp_socket_connect(port->rtp_fd, to) : vp_socket_disconnect(port->rtp_fd);
    if (!failed)
        port->connected = settled;
}

/* A new offer may name another address than the one that the socket is connected to. */
static inline void vp_worker_reconnect(vp_worker *worker, vp_port *port) {
    if (port->connected && !vp_socket_disconnect(port->rtp_fd))
        port->connected = false;
    vp_worker_connect(worker, port);
}

/* False when the command must wait: the port it wants is still with another worker. Every wait is for a command that was
 * given before, so that two workers never wait for each other. */
static inline bool vp_worker_apply(vp_worker *worker, const vp_command *command) {
    vp_port *port = &worker->ports[command->slot];
    switch (command->kind) {
    case VP_COMMAND_OPEN:
        vp_port_open(port, command->slot, &command->open, worker->context.now);
        vp_worker_own(worker, port);
        return true;
    case VP_COMMAND_CLOSE:
        vp_worker_close_port(worker, port);
        return true;
    case VP_COMMAND_MOVE:
        vp_port_unroute(port);
        vp_port_mix(port, &(vp_mix){0}, worker->context.now); /* the mixer stays, with those who share it */
        vp_worker_disown(worker, port);
        __atomic_store_n(&port->worker, (uint8_t)command->other, __ATOMIC_RELEASE);
        return true;
    case VP_COMMAND_ADOPT:
        if (__atomic_load_n(&port->worker, __ATOMIC_ACQUIRE) != worker->index)
            return false;
        vp_worker_own(worker, port);
        return true;
    case VP_COMMAND_FLIGHT:
        vp_worker_send_flight(port, &command->flight);
        return true;
    case VP_COMMAND_STOP:
        worker->stopping = true;
        return true;
    default:
        vp_port_apply(port, &worker->ports[command->other], command, &worker->context);
        vp_worker_list(worker, port);
        vp_worker_hurry(worker, port);
        if (command->kind == VP_COMMAND_REMOTE || command->kind == VP_COMMAND_CRYPTO)
            vp_worker_reconnect(worker, port);
        return true;
    }
}

static inline void vp_worker_obey(vp_worker *worker) {
    vp_command command;
    if (worker->waiting)
        worker->waiting = !vp_worker_apply(worker, &worker->pending);
    while (!worker->waiting && vp_ring_pop(&worker->commands, &command)) {
        if (vp_worker_apply(worker, &command))
            continue;
        worker->pending = command;
        worker->waiting = true;
    }
}

/* Wakes the consumer if it has said that it sleeps. */
static inline void vp_worker_signal(vp_worker *worker) {
    uint64_t one = 1;
    worker->context.urgent = false;
    if (__atomic_exchange_n(worker->armed, 0, __ATOMIC_SEQ_CST) && write(worker->event_fd, &one, sizeof one) < 0)
        VP_ADD(worker->events_lost, 1);
}

static inline void vp_worker_forward(vp_port *port, vp_port *out, const uint8_t *packet, size_t length) {
    uint8_t sealed[VP_MAX_PACKET + VP_SRTP_SLACK];
    const vp_address *to = out->connected ? NULL : vp_latch_destination(&out->latch);
    packet = vp_srtp_seal(&out->srtp, sealed, packet, &length, false);
    if (!packet)
        vp_count_drop(out, VP_DROP_SRTP_SEND);
    else if (vp_socket_send(out->rtp_fd, packet, length, to))
        vp_count_drop(port, VP_DROP_SEND_FAILED);
}

static inline void vp_worker_carry(
    vp_worker *worker, vp_port *port, uint8_t *packet, size_t length, const vp_address *source, int rtcp
) {
    vp_address to;
    vp_port *out = vp_carry_receive(port, &worker->context, packet, &length, source, &rtcp, &to);
    if (out && rtcp)
        vp_worker_send_rtcp(out, packet, length, &to);
    else if (out)
        vp_worker_forward(port, out, packet, length);
}

static inline void vp_worker_take(
    vp_worker *worker, vp_port *port, uint8_t *packet, size_t length, const vp_address *source, int rtcp
) {
    if (length > VP_MAX_PACKET) {
        vp_count_drop(port, VP_DROP_NOT_RTP);
    } else if (port->carries) {
        vp_worker_carry(worker, port, packet, length, source, rtcp);
    } else if (rtcp) {
        vp_port_receive_rtcp(port, &worker->context, packet, length, source);
    } else {
        vp_port *out = vp_port_receive(port, &worker->context, packet, &length, source);
        if (out)
            vp_worker_forward(port, out, packet, length);
    }
}

/* One datagram: epoll is level-triggered, and one packet per socket and wake is what calls give. */
static inline void vp_worker_receive(vp_worker *worker, uint64_t tag) {
    uint8_t packet[VP_MAX_PACKET];
    vp_address source;
    socklen_t size = sizeof source;
    vp_port *port = &worker->ports[tag >> 1];
    int fd = tag & 1 ? port->rtcp_fd : port->rtp_fd;
    /* MSG_TRUNC gives the true length: a packet that does not fit is no RTP of ours. */
    ssize_t received = recvfrom(fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC, &source.any, &size);
    if (received >= 0)
        vp_worker_take(worker, port, packet, (size_t)received, &source, tag & 1);
}

static inline void vp_worker_receive_all(vp_worker *worker, const struct epoll_event *ready, int count) {
    for (int i = 0; i < count; i++)
        if (ready[i].data.u64 < VP_TAG_TICK)
            vp_worker_receive(worker, ready[i].data.u64);
}

/* When a datagram that was stamped came, on the monotonic clock: no sooner than what the port knows of already, so that
 * its times never run backwards, whatever happens to the wall clock. */
static inline uint64_t vp_worker_arrival(const vp_worker *worker, const vp_port *port, uint64_t stamp, uint64_t now) {
    uint64_t lain = stamp && stamp < worker->context.wallclock ? worker->context.wallclock - stamp : 0;
    return now - port->silent_since > lain ? now - lain : port->silent_since;
}

static inline void vp_worker_receive_stamped(vp_worker *worker, uint64_t tag) {
    uint8_t packet[VP_MAX_PACKET];
    vp_address source;
    uint64_t now = worker->context.now, stamp;
    vp_port *port = &worker->ports[tag >> 1];
    int fd = tag & 1 ? port->rtcp_fd : port->rtp_fd;
    ssize_t received = vp_socket_receive_stamped(fd, packet, sizeof packet, &source, &stamp);
    if (received < 0)
        return;
    worker->context.now = vp_worker_arrival(worker, port, stamp, now);
    vp_worker_take(worker, port, packet, (size_t)received, &source, tag & 1);
    worker->context.now = now;
}

/* What came since the last tick for ports that wait. A flood is left for the next one. */
static inline void vp_worker_receive_waiting(vp_worker *worker) {
    struct epoll_event ready[VP_BATCH];
    uint64_t budget = (uint64_t)worker->owned_count * VP_DRAINED;
    int count;
    while (budget && (count = epoll_wait(worker->waiting_fd, ready, VP_BATCH, 0)) > 0) {
        for (int i = 0; i < count; i++)
            vp_worker_receive_stamped(worker, ready[i].data.u64);
        budget -= (uint64_t)count < budget ? (uint64_t)count : budget;
    }
}

static inline void vp_worker_sweep(vp_worker *worker, vp_port *port) {
    uint8_t packet[VP_RTCP_MAX];
    vp_address to;
    vp_port_sweep(port, &worker->context);
    /* Not before something came: most ports are connected by then, and were moved in vain. */
    if (port->stream.active && !port->waits)
        vp_worker_set_waits(worker, port, vp_port_can_wait(port));
    vp_worker_connect(worker, port);
    vp_worker_send_rtcp(port, packet, vp_port_due_report(port, &worker->context, packet, &to), &to);
}

/* The first half of a tick: everybody listens before anybody speaks, so that all see the same 20 ms. */
static inline void vp_worker_listen(vp_worker *worker) {
    if (!worker->listens)
        return;
    worker->listens = false;
    worker->context.turn++;
    for (uint32_t i = 0; i < worker->producing_count; i++) {
        vp_port *port = &worker->ports[worker->producing[i]];
        if (!port->audio)
            continue;
        worker->listens = true;
        vp_port_listen(port, &worker->context);
    }
}

/* What a port sends of itself at one tick. */
static inline void vp_worker_produce_port(vp_worker *worker, vp_port *port) {
    uint8_t packet[VP_PRODUCED];
    size_t length = vp_port_produce(port, &worker->context, packet);
    for (;;) {
        if (length)
            vp_worker_forward(port, port, packet, length);
        if (!vp_port_owes_audio(port))
            return;
        length = vp_port_produce_audio(port, &worker->context, packet);
    }
}

/* After a port's tick. */
static inline void vp_worker_settle(vp_worker *worker, vp_port *port) {
    port->speaking = vp_port_speaks(port);
    if (!vp_port_produces(port))
        vp_worker_unlist(worker, port);
}

/* What ports send of themselves, for so many ticks. */
static inline void vp_worker_produce(vp_worker *worker, uint32_t ticks) {
    uint32_t frames = ticks < VP_CATCH_UP ? ticks : VP_CATCH_UP;
    for (uint32_t i = 0; ticks > frames && i < worker->producing_count; i++)
        vp_port_skip(&worker->ports[worker->producing[i]], ticks - frames);
    for (uint32_t frame = 0; frame < frames; frame++) {
        vp_worker_listen(worker);
        for (uint32_t i = worker->producing_count; i-- > 0;) { /* downwards: one that ends gives its place to the last */
            vp_port *port = &worker->ports[worker->producing[i]];
            if (i)
                vp_port_prefetch(&worker->ports[worker->producing[i - 1]]);
            vp_worker_produce_port(worker, port);
            vp_worker_settle(worker, port);
        }
    }
}

static const uint32_t vp_tick_late_us[VP_TICK_BUCKETS - 1] = {250, 500, 1000, 2000, 5000, 10000, 20000, 50000};

static inline void vp_worker_count_lateness(vp_worker *worker, uint64_t expired) {
    uint64_t late = worker->context.now > worker->tick_due ? (worker->context.now - worker->tick_due) / 1000 : 0;
    uint32_t bucket = 0;
    while (bucket < VP_TICK_BUCKETS - 1 && late > vp_tick_late_us[bucket])
        bucket++;
    VP_ADD(worker->lateness[bucket], 1);
    worker->tick_due += expired * VP_TICK;
}

static inline void vp_worker_tick(vp_worker *worker) {
    uint64_t expired = 0;
    if (read(worker->timer_fd, &expired, sizeof expired) < 0)
        return;
    vp_worker_count_lateness(worker, expired);
    if (expired > 2)
        VP_ADD(worker->late_ticks, 1);
    vp_worker_receive_waiting(worker);
    vp_worker_produce(worker, expired < UINT32_MAX ? (uint32_t)expired : UINT32_MAX);
    for (uint32_t i = worker->tick++ % VP_SWEEP_SHARDS; i < worker->owned_count; i += VP_SWEEP_SHARDS)
        vp_worker_sweep(worker, &worker->ports[worker->owned[i]]);
    if (worker->tick % VP_CALM_TICKS == 0 && !vp_ring_empty(&worker->events))
        vp_worker_signal(worker);
}

/* The flag goes up before the ring is looked at, and the face looks at the flag after it has pushed: one of the two sees
 * the other, so a command that is pushed meanwhile is never left lying. After commands the flag stays down for a moment:
 * the next ones of the same message come 20-100 µs apart, and a packet that needs them wakes the worker by itself. */
static inline int vp_worker_wait(vp_worker *worker, struct epoll_event *ready, int timeout_ms) {
    if (worker->lingers) {
        worker->lingers = false;
        return epoll_wait(worker->epoll_fd, ready, VP_BATCH, worker->waiting ? 1 : VP_LINGER_MS);
    }
    __atomic_store_n(&worker->asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (worker->waiting)
        timeout_ms = 1;
    else if (!vp_ring_empty(&worker->commands))
        timeout_ms = 0;
    int count = epoll_wait(worker->epoll_fd, ready, VP_BATCH, timeout_ms);
    __atomic_store_n(&worker->asleep, 0, __ATOMIC_RELAXED);
    return count;
}

static inline void vp_worker_step(vp_worker *worker, int timeout_ms) {
    struct epoll_event ready[VP_BATCH];
    uint64_t wakes;
    bool obeys, ticks = false;
    int count = vp_worker_wait(worker, ready, timeout_ms);
    vp_worker_read_clocks(worker);
    for (int i = 0; i < count; i++) {
        if (ready[i].data.u64 == VP_TAG_COMMANDS && read(worker->command_fd, &wakes, sizeof wakes) < 0)
            continue;
        if (ready[i].data.u64 == VP_TAG_TICK)
            ticks = true;
    }
    obeys = worker->waiting || !vp_ring_empty(&worker->commands);
    worker->lingers = obeys;
    /* A command is older than the packets that came with it. It may close ports of this batch: epoll tells the rest again. */
    if (obeys)
        vp_worker_obey(worker);
    else
        vp_worker_receive_all(worker, ready, count);
    if (ticks)
        vp_worker_tick(worker);
    if (worker->context.urgent)
        vp_worker_signal(worker);
}

/* The thread's body: returns after STOP with every port closed. */
static inline void vp_worker_run(vp_worker *worker) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL); /* signals are for the interpreter's thread */
    pthread_getcpuclockid(pthread_self(), &worker->cpu_clock);
    __atomic_store_n(&worker->running, 1, __ATOMIC_RELEASE);
    while (!worker->stopping)
        vp_worker_step(worker, -1);
    while (worker->owned_count)
        vp_worker_close_port(worker, &worker->ports[worker->owned[0]]);
    __atomic_store_n(&worker->running, 0, __ATOMIC_RELEASE);
}

/* On the manual clock: the ticks between the last call and now, so that a step per packet does not cost a sweep. */
static inline uint32_t vp_worker_ticks_passed(vp_worker *worker) {
    uint32_t tick = (uint32_t)(worker->context.now / VP_TICK);
    uint32_t passed = tick - worker->tick;
    worker->tick = tick;
    return passed > INT32_MAX ? 1 : passed; /* a clock that was moved back */
}

/* From the face, before OPEN: the slot is taken, and belongs to this worker. */
static inline void vp_port_reserve(vp_port *port, uint32_t worker) {
    VP_ASSERT(port->phase == VP_PHASE_FREE);
    port->worker = (uint8_t)worker;
    port->phase = VP_PHASE_OPEN;
}

/* Asked by the face: the worker has closed the sockets and will not touch the port again. */
static inline bool vp_port_is_free(const vp_port *port) {
    return __atomic_load_n(&port->phase, __ATOMIC_ACQUIRE) == VP_PHASE_FREE;
}

/* From the face: false when the ring is full. The verbs of one moment (a port opened, described and connected) wake the
 * worker once; a full ring wakes it at once. */
static inline bool vp_worker_command(vp_worker *worker, const vp_command *command) {
    uint64_t one = 1;
    if (worker->manual)
        return vp_worker_apply(worker, command);
    bool pushed = vp_ring_push(&worker->commands, command);
    if (!__atomic_exchange_n(&worker->asleep, 0, __ATOMIC_SEQ_CST) && pushed)
        return true;
    return write(worker->command_fd, &one, sizeof one) == sizeof one && pushed;
}

#endif
