/* Phones that send stamped RTP and count what comes back: loss and latency end to end, not by the relay's own counters.
 *
 * usage: phones SECONDS [FIRST [TALKERS SOUND]] < STREAMS  a line a phone: "LOCAL_PORT TARGET_PORT", all on 127.0.0.1
 * 50 packets a second of 160 octets each; the streams are spread evenly over the 20 ms. FIRST is the number of the first
 * packet, to go on where an earlier run ended. The payload carries a magic, the time of sending and a number; with
 * TALKERS so many phones send the G.711 of the file SOUND instead, each from another place of it, the others silence.
 * Prints {"sent", "received", "lost", "late_send_ms", "cpu_s", "kernel_drops", "latency_us": {"p50", "p99", "max"},
 * "streams": {"received", "missing", "late", "longest_gap_ms"}}; kernel_drops are packets that arrived and found a phone's
 * buffer full. "streams" is of any RTP that came, stamped or not: numbers that were skipped, packets that came more than
 * 60 ms after the one before them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PHONES = 20000, PAYLOAD = 160, PACKET = 12 + PAYLOAD, HISTOGRAM_US = 1000000, LATE_MS = 60, SOUND_FRAMES = 3000 };

static const uint64_t MAGIC = 0x5650524c4f414432ULL, INTERVAL = 20000000ULL, GRACE = 500000000ULL;

typedef struct {
    int fd;
    struct sockaddr_in target;
    uint64_t last; /* the number of the newest stamp that came */
    uint64_t came; /* when the newest RTP packet of any kind came */
    uint16_t sequence;
} phone;

typedef struct {
    uint64_t magic, time, number;
} stamp;

static phone phones[MAX_PHONES];
static uint32_t phone_count, histogram[HISTOGRAM_US];
static uint64_t sent, received, latest_send, first, heard, missing, late, longest_gap;
static uint8_t sound[SOUND_FRAMES * PAYLOAD], silence[PAYLOAD];
static uint64_t frames;
static int talkers = -1;
static volatile int stopping;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void sleep_until(uint64_t due) {
    struct timespec time = {(time_t)(due / 1000000000ULL), (long)(due % 1000000000ULL)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void follow(phone *one, const uint8_t *packet) {
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]), step = (uint16_t)(sequence - one->sequence);
    uint64_t time = now(), gap = time - one->came;
    if (one->came && (!step || step > 0x8000))
        return; /* a duplicate, or overtaken */
    if (one->came) {
        missing += step - 1u;
        late += gap > LATE_MS * 1000000ULL;
        longest_gap = gap > longest_gap ? gap : longest_gap;
    }
    one->came = time;
    one->sequence = sequence;
    heard++;
}

static void take(phone *one) {
    uint8_t packet[2048];
    stamp came;
    ssize_t length = recv(one->fd, packet, sizeof packet, MSG_DONTWAIT);
    if (length > 12 && (packet[1] & 0x7f) < 64)
        follow(one, packet);
    if (length < PACKET)
        return;
    memcpy(&came, packet + 12, sizeof came);
    if (came.magic != MAGIC || came.number <= one->last)
        return; /* RTCP, a duplicate */
    one->last = came.number;
    received++;
    uint64_t us = (now() - came.time) / 1000;
    histogram[us < HISTOGRAM_US ? us : HISTOGRAM_US - 1]++;
}

static void *receive(void *unused) {
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, ready[256];
    for (uint32_t i = 0; i < phone_count; i++) {
        event.data.u32 = i;
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, phones[i].fd, &event);
    }
    while (!stopping)
        for (int i = epoll_wait(epoll_fd, ready, 256, 50) - 1; i >= 0; i--)
            take(&phones[ready[i].data.u32]);
    return unused;
}

static void send_one(phone *one, uint32_t index, uint64_t round) {
    uint8_t packet[PACKET] = {0x80, 0};
    stamp mark = {MAGIC, now(), round + 1};
    uint32_t timestamp = htonl((uint32_t)round * 160), ssrc = htonl(0x10000000 + index);
    uint16_t sequence = htons((uint16_t)round);
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    if (talkers < 0)
        memcpy(packet + 12, &mark, sizeof mark);
    else
        memcpy(packet + 12, (int)index < talkers ? sound + (round + index * 7) % frames * PAYLOAD : silence, PAYLOAD);
    sent += sendto(one->fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&one->target, sizeof one->target) > 0;
}

static void read_sound(const char *path) {
    FILE *file = fopen(path, "rb");
    frames = file ? fread(sound, PAYLOAD, SOUND_FRAMES, file) : 0;
    if (!frames) {
        fprintf(stderr, "no sound: %s\n", path);
        exit(1);
    }
    fclose(file);
}

static void send_all(double seconds) {
    uint64_t start = now(), rounds = (uint64_t)(seconds * 1e9) / INTERVAL;
    for (uint64_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < phone_count; i++) {
            uint64_t due = start + round * INTERVAL + INTERVAL * i / phone_count, time = now();
            if (time < due)
                sleep_until(due + 200000); /* a few at a time, as a network delivers them */
            else if (time - due > latest_send)
                latest_send = time - due;
            send_one(&phones[i], i, first + round);
        }
    sleep_until(now() + GRACE);
}

static uint64_t percentile(double part) {
    uint64_t seen = 0, wanted = (uint64_t)((double)received * part), us = 0;
    while (us < HISTOGRAM_US - 1 && (seen += histogram[us]) <= wanted)
        us++;
    return us;
}

static uint64_t kernel_drops(void) {
    uint64_t drops = 0;
    for (uint32_t i = 0; i < phone_count; i++) {
        uint32_t memory[SK_MEMINFO_VARS] = {0};
        socklen_t size = sizeof memory;
        if (!getsockopt(phones[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
            drops += memory[SK_MEMINFO_DROPS];
    }
    return drops;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static uint64_t slowest(void) {
    uint64_t us = HISTOGRAM_US - 1;
    while (us && !histogram[us])
        us--;
    return us;
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
    struct sockaddr_in local = {.sin_family = AF_INET};
    int port, target;
    pthread_t thread;
    if (count < 2)
        return 2;
    first = count > 2 ? strtoull(words[2], NULL, 10) : 0;
    if (count > 4) {
        talkers = atoi(words[3]);
        read_sound(words[4]);
        memset(silence, 0xff, sizeof silence);
    }
    setrlimit(RLIMIT_NOFILE, &files);
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (phone_count < MAX_PHONES && scanf("%d %d", &port, &target) == 2) {
        phone *one = &phones[phone_count++];
        local.sin_port = htons((uint16_t)port);
        one->fd = socket(AF_INET, SOCK_DGRAM, 0);
        one->target = local;
        one->target.sin_port = htons((uint16_t)target);
        if (bind(one->fd, (struct sockaddr *)&local, sizeof local)) {
            perror("bind");
            return 1;
        }
    }
    pthread_create(&thread, NULL, receive, NULL);
    send_all(atof(words[1]));
    stopping = 1;
    pthread_join(thread, NULL);
    printf("{\"sent\": %lu, \"received\": %lu, \"lost\": %ld, \"late_send_ms\": %.1f, \"cpu_s\": %.3f, \"kernel_drops\": %lu, "
           "\"latency_us\": {\"p50\": %lu, \"p99\": %lu, \"max\": %lu}, "
           "\"streams\": {\"received\": %lu, \"missing\": %lu, \"late\": %lu, \"longest_gap_ms\": %.1f}}\n",
           sent, received, (long)(sent - received), (double)latest_send / 1e6, cpu_seconds(), kernel_drops(),
           percentile(0.5), percentile(0.99), slowest(), heard, missing, late, (double)longest_gap / 1e6);
    return 0;
}
