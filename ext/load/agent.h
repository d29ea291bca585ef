/* Many phones at once: what they send is decided by a schedule alone, never by how fast the server answers.
 *
 * A plan starts its units, registrations or calls, at their times; each is followed through digest, ACK, hold and BYE, with
 * the retransmissions of RFC 3261 §17. Its time runs from when it was due, not from when it was sent: a generator that is
 * late, or that waits for a slow server, cannot make the server look fast. Calls are answered here too.
 *
 *   unit:   TRYING → (401: again, with credentials) → PROCEEDING → UP → CLOSING → free
 *   answer: OFFERED (200 sent again and again until ACK) → CONFIRMED → free
 */
#ifndef LD_AGENT_H
#define LD_AGENT_H

#include "histogram.h"
#include "md5.h"
#include "media.h"
#include "schedule.h"
#include "wire.h"
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LD_MS 1000000ULL
#define LD_SECOND (1000 * LD_MS)

enum {
    LD_NAME = 48,
    LD_PLANS = 250,
    LD_PROFILES = 8,
    LD_TARGETS = 64,
    LD_STATUSES = 700,
    LD_ANSWERING = 1 << 30, /* set in an entry of the heap whose slot is an answer's */
    LD_HASHED = 1 << 15,
    LD_NO_MEDIA = 6000, /* a port where nobody is, for calls that only signal */
};

/* RFC 3261 §17.1.1.2 */
static const uint64_t LD_T1 = 500 * LD_MS, LD_T2 = 4000 * LD_MS, LD_FOREVER = UINT64_MAX;

typedef struct {
    char user[LD_NAME], ha1[LD_MD5_HEX + 1], nonce[128];
    uint32_t flow, nonce_count;
} ld_account;

typedef enum { LD_REGISTRATION, LD_CALL, LD_OPTIONS } ld_kind;

typedef struct {
    uint64_t ok, failed, timed_out, hung_up, retransmitted, challenged, unsent;
    uint64_t statuses[LD_STATUSES];
    ld_histogram late, setup, teardown;
} ld_counts;

typedef struct {
    ld_kind kind;
    bool is_poisson, keeps_nonce;
    double rate;
    uint64_t start, count, launched, next, hold, up, dice;
    uint32_t accounts_from, accounts, targets;
    uint16_t media_from;
    char target[LD_TARGETS][LD_NAME], contact[LD_NAME];
    ld_description offer;
    ld_counts counts;
} ld_plan;

typedef enum { LD_FREE, LD_TRYING, LD_PROCEEDING, LD_UP, LD_CLOSING } ld_state;

typedef struct {
    uint64_t due, sent, wait, patience;
    uint32_t account, turn, generation, flow, cseq, next_free;
    uint8_t plan, state, challenges, is_spoilt; /* spoilt: answered, without media that can be used */
    uint16_t length;
    const char *target;
    ld_media media;
    char to[192], remote[192], route[512], last[LD_MESSAGE];
} ld_unit;

typedef struct {
    uint64_t key, wait, patience;
    uint32_t turn, flow, next_free, next_same;
    uint8_t state, profile;
    uint16_t length;
    ld_media media;
    char last[LD_MESSAGE];
} ld_answer;

enum { LD_UNANSWERED, LD_OFFERED, LD_CONFIRMED };

typedef struct {
    ld_description said;
    bool rings;
} ld_profile;

typedef struct {
    char domain[LD_NAME], run[LD_NAME];
    ld_flow *flows;
    ld_account *accounts;
    ld_unit *units;
    ld_answer *answers;
    uint32_t flow_count, account_count, room, free_unit, fresh_unit, free_answer, fresh_answer, hashed[LD_HASHED];
    uint16_t answer_media_from;
    ld_plan plans[LD_PLANS];
    uint32_t plan_count;
    ld_profile profiles[LD_PROFILES];
    ld_heap heap;
    ld_batch batch;
    uint64_t patience, messages_in, messages_out, not_sent, unexpected, asked, answer_repeats;
    int epoll;
} ld_agent;

static inline uint64_t ld_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * LD_SECOND + (uint64_t)time.tv_nsec;
}

static void ld_emit(ld_agent *agent, uint32_t flow, const char *text, size_t length) {
    agent->messages_out++;
    agent->not_sent += !ld_flow_send(&agent->flows[flow], text, length);
}

/* xorshift64*: 0 < result <= 1 */
static double ld_chance(uint64_t *dice) {
    *dice ^= *dice >> 12, *dice ^= *dice << 25, *dice ^= *dice >> 27;
    return ((double)(*dice * 2685821657736338717ULL >> 11) + 1) / 9007199254740993.0;
}

#include "caller.h"
#include "answerer.h"

static void ld_take(ld_agent *agent, uint32_t flow, const char *text, size_t length, uint64_t now) {
    ld_message message;
    agent->messages_in++;
    if (!ld_read(&message, text, length)) {
        agent->unexpected++;
        return;
    }
    ld_unit *unit = ld_unit_of(agent, &message);
    if (message.status)
        unit ? ld_unit_response(agent, unit, &message, now) : (void)agent->unexpected++;
    else if (unit && ld_unit_is_asked(agent, unit, &message))
        ld_unit_request(agent, unit, flow, &message, now);
    else
        ld_answer_request(agent, flow, &message, now);
}

static void ld_take_stream(ld_agent *agent, uint32_t index, uint64_t now) {
    ld_flow *flow = &agent->flows[index];
    for (size_t size; (size = ld_stream_message(flow)) != 0;) {
        char kept = flow->in[size];
        flow->in[size] = 0;
        ld_take(agent, index, flow->in, size, now);
        flow->in[size] = kept;
        memmove(flow->in, flow->in + size, flow->in_length - size + 1);
        flow->in_length -= size;
    }
}

static void ld_read_stream(ld_agent *agent, uint32_t index, uint64_t now) {
    ld_flow *flow = &agent->flows[index];
    ssize_t size = recv(flow->fd, flow->in + flow->in_length, LD_STREAM - 1 - flow->in_length, MSG_DONTWAIT);
    if (size <= 0) {
        flow->closed |= size == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    flow->in_length += (size_t)size;
    flow->in[flow->in_length] = 0;
    ld_take_stream(agent, index, now);
}

static void ld_read_datagrams(ld_agent *agent, uint32_t index) {
    ld_batch *batch = &agent->batch;
    int count = recvmmsg(agent->flows[index].fd, batch->headers, LD_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        batch->room[i][batch->headers[i].msg_len] = 0;
        ld_take(agent, index, batch->room[i], batch->headers[i].msg_len, ld_now());
    }
}

/* When the plan's next unit is due; LD_FOREVER when all have been started. */
static uint64_t ld_plan_next(const ld_plan *plan) {
    return plan->launched < plan->count ? plan->next : LD_FOREVER;
}

static void ld_plan_step(ld_agent *agent, uint8_t index, uint64_t now) {
    ld_plan *plan = &agent->plans[index];
    while (ld_plan_next(plan) <= now) {
        ld_histogram_add(&plan->counts.late, now - plan->next);
        ld_unit_start(agent, index, now);
        plan->launched++;
        double interval = plan->is_poisson ? -__builtin_log(ld_chance(&plan->dice)) / plan->rate : 1 / plan->rate;
        plan->next += (uint64_t)(interval * 1e9);
    }
}

/* Does what is due; when the next thing is. */
static uint64_t ld_step(ld_agent *agent, uint64_t now) {
    ld_entry entry;
    uint64_t next = LD_FOREVER;
    for (uint8_t i = 0; i < agent->plan_count; i++) {
        ld_plan_step(agent, i, now);
        if (ld_plan_next(&agent->plans[i]) < next)
            next = ld_plan_next(&agent->plans[i]);
    }
    while (ld_heap_take(&agent->heap, now, &entry)) {
        if (entry.slot & LD_ANSWERING)
            ld_answer_due(agent, &agent->answers[entry.slot & ~(uint32_t)LD_ANSWERING], entry.turn, now);
        else
            ld_unit_due(agent, &agent->units[entry.slot], entry.turn, now);
    }
    return agent->heap.count && agent->heap.entries[0].due < next ? agent->heap.entries[0].due : next;
}

/* Waits for messages until `until`: to the nanosecond where the kernel can (Linux 5.11), else to the millisecond. */
static int ld_wait(ld_agent *agent, struct epoll_event *ready, int most, uint64_t until) {
    uint64_t now = ld_now(), span = until > now ? until - now : 0;
#ifdef SYS_epoll_pwait2
    struct timespec time = {(time_t)(span / LD_SECOND), (long)(span % LD_SECOND)};
    long count = syscall(SYS_epoll_pwait2, agent->epoll, ready, most, &time, NULL, 0);
    if (count >= 0 || errno != ENOSYS)
        return (int)count;
#endif
    return epoll_wait(agent->epoll, ready, most, (int)(span / LD_MS));
}

static void ld_run(ld_agent *agent, uint64_t until) {
    struct epoll_event ready[64];
    for (uint64_t now; (now = ld_now()) < until;) {
        uint64_t next = ld_step(agent, now);
        int count = ld_wait(agent, ready, 64, next < until ? next : until);
        for (int i = 0; i < count; i++) {
            uint32_t flow = ready[i].data.u32;
            if (agent->flows[flow].kind == LD_UDP)
                ld_read_datagrams(agent, flow);
            else
                ld_read_stream(agent, flow, ld_now());
        }
    }
}

static bool ld_agent_open(ld_agent *agent, uint32_t flows, uint32_t accounts, uint32_t room) {
    agent->flows = calloc(flows, sizeof *agent->flows);
    agent->accounts = calloc(accounts, sizeof *agent->accounts);
    agent->units = calloc(room, sizeof *agent->units); /* untouched memory until it is used */
    agent->answers = calloc(room, sizeof *agent->answers);
    agent->room = room;
    agent->epoll = epoll_create1(EPOLL_CLOEXEC);
    ld_batch_open(&agent->batch);
    return agent->flows && agent->accounts && agent->units && agent->answers && agent->epoll >= 0;
}

static void ld_agent_close(ld_agent *agent) {
    for (uint32_t i = 0; i < agent->flow_count; i++)
        ld_flow_close(&agent->flows[i]);
    free(agent->flows), free(agent->accounts), free(agent->units), free(agent->answers), free(agent->heap.entries);
    if (agent->epoll >= 0)
        close(agent->epoll);
}

#endif
