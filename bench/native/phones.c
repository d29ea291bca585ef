/* Phones that send stamped RTP and count what comes back: loss and latency end to end, not by the relay's own counters.
 *
 * usage: phones SECONDS [FIRST [TALKERS SOUND]] < STREAMS  a line a phone: "LOCAL_PORT TARGET_PORT", all on 127.0.0.1
 * Phones in a row with one local port share a socket: what they send at a time is one system call, and what comes is
 * looked at every two milliseconds, so that the generator can do more than what it measures. 50 packets a second of 160 octets each; the streams are spread evenly over the 20 ms.
 * FIRST is the number of the first packet, to go on where an earlier run ended. The payload carries a magic, the time of
 * sending, a number and the phone; with TALKERS so many phones send the G.711 of the file SOUND instead, each from another
 * place of it, the others silence. Latency ends when the kernel has the packet for the phone, whenever that reads it.
 * Prints {"sent", "received", "lost", "late_send_ms", "cpu_s", "kernel_drops", "latency_us": {"p50", "p99", "max"},
 * "streams": {"received", "missing", "late", "longest_gap_ms"}}; kernel_drops are packets that arrived and found a socket's
 * buffer full. "streams" is of any RTP that came, stamped or not: numbers that were skipped, packets that came more than
 * 60 ms after the one before them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_PHONES = 20000,
    PAYLOAD = 160,
    PACKET = 12 + PAYLOAD,
    LARGEST = 2048,
    BATCH = 64,
    HISTOGRAM_US = 1000000,
    LATE_MS = 60,
    SOUND_FRAMES = 3000,
    BUFFER = 1 << 20,
};

static const uint64_t MAGIC = 0x5650524c4f414432ULL, INTERVAL = 20000000ULL, GRACE = 500000000ULL, NAP = 2000000ULL;

typedef struct {
    int fd;
    struct sockaddr_in target;
    uint64_t last; /* the number of the newest stamp of this phone that came to another */
    uint64_t came; /* when the newest RTP packet of any kind came to it */
    uint16_t sequence;
} phone;

typedef struct {
    uint64_t magic, time, number, phone;
} stamp;

/* What one system call sends or receives. */
typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in sources[BATCH];
    uint8_t packets[BATCH][LARGEST];
    union {
        char octets[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr aligned;
    } controls[BATCH];
} batch;

static phone phones[MAX_PHONES];
static uint32_t by_target[65536]; /* phone + 1 that sends to this port, and so hears from it */
static uint32_t phone_count, histogram[HISTOGRAM_US];
static uint64_t sent, received, latest_send, first, heard, missing, late, longest_gap;
static uint8_t sound[SOUND_FRAMES * PAYLOAD], silence[PAYLOAD];
static uint64_t frames;
static int talkers = -1;
static volatile int stopping;
static int is_crowd;

static uint64_t nanoseconds(struct timespec time) { return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec; }

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return nanoseconds(time);
}

static void sleep_until(uint64_t due) {
    struct timespec time = {(time_t)(due / 1000000000ULL), (long)(due % 1000000000ULL)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static void follow(phone *one, const uint8_t *packet, uint64_t time) {
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]), step = (uint16_t)(sequence - one->sequence);
    uint64_t gap = time - one->came;
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

static void take(const uint8_t *packet, size_t length, const struct sockaddr_in *source, uint64_t time) {
    stamp came;
    uint32_t hearer = by_target[ntohs(source->sin_port)];
    if (length > 12 && (packet[1] & 0x7f) < 64 && hearer)
        follow(&phones[hearer - 1], packet, time);
    if (length < PACKET)
        return;
    memcpy(&came, packet + 12, sizeof came);
    if (came.magic != MAGIC || came.phone >= phone_count || came.number <= phones[came.phone].last)
        return; /* RTCP, sound, a duplicate */
    phones[came.phone].last = came.number;
    received++;
    uint64_t us = time > came.time ? (time - came.time) / 1000 : 0;
    histogram[us < HISTOGRAM_US ? us : HISTOGRAM_US - 1]++;
}

static uint64_t arrival(struct msghdr *header) {
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    struct timespec time;
    if (!control || control->cmsg_type != SCM_TIMESTAMPNS)
        return now(CLOCK_REALTIME);
    memcpy(&time, CMSG_DATA(control), sizeof time);
    return nanoseconds(time);
}

static void expect(batch *in, int i) {
    in->parts[i] = (struct iovec){in->packets[i], LARGEST};
    in->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &in->sources[i], .msg_namelen = sizeof in->sources[i], .msg_iov = &in->parts[i], .msg_iovlen = 1,
        .msg_control = &in->controls[i], .msg_controllen = sizeof in->controls[i],
    };
}

static void take_all(int fd, batch *in) {
    int count = recvmmsg(fd, in->headers, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        take(in->packets[i], in->headers[i].msg_len, &in->sources[i], arrival(&in->headers[i].msg_hdr));
        expect(in, i);
    }
}

static void *receive(void *unused) {
    static batch in;
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, ready[256];
    for (uint32_t i = 0; i < phone_count; i++) {
        event.data.fd = phones[i].fd;
        if (!i || phones[i].fd != phones[i - 1].fd)
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, phones[i].fd, &event);
    }
    for (int i = 0; i < BATCH; i++)
        expect(&in, i);
    while (!stopping && is_crowd) {
        sleep_until(now(CLOCK_MONOTONIC) + NAP);
        for (uint32_t i = 0; i < phone_count; i++)
            if (!i || phones[i].fd != phones[i - 1].fd)
                take_all(phones[i].fd, &in);
    }
    while (!stopping)
        for (int i = epoll_wait(epoll_fd, ready, 256, 50) - 1; i >= 0; i--)
            take_all(ready[i].data.fd, &in);
    return unused;
}

static void write_packet(uint8_t *packet, uint32_t index, uint64_t round) {
    stamp mark = {MAGIC, now(CLOCK_REALTIME), round + 1, index};
    uint32_t timestamp = htonl((uint32_t)round * 160), ssrc = htonl(0x10000000 + index);
    uint16_t sequence = htons((uint16_t)round);
    packet[0] = 0x80, packet[1] = 0;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    if (talkers < 0)
        memcpy(packet + 12, &mark, sizeof mark);
    else
        memcpy(packet + 12, (int)index < talkers ? sound + (round + index * 7) % frames * PAYLOAD : silence, PAYLOAD);
}

/* Sends for phones from `index` on that are due and share a socket; how many they were. */
static uint32_t send_some(batch *out, uint64_t start, uint64_t round, uint32_t index) {
    uint64_t time = now(CLOCK_MONOTONIC);
    int fd = phones[index].fd, count = 0;
    for (uint32_t i = index; i < phone_count && phones[i].fd == fd && count < BATCH; i++, count++) {
        uint64_t due = start + round * INTERVAL + INTERVAL * i / phone_count;
        if (count && due > time)
            break;
        if (time > due && time - due > latest_send)
            latest_send = time - due;
        write_packet(out->packets[count], i, first + round);
        out->parts[count] = (struct iovec){out->packets[count], PACKET};
        out->headers[count].msg_hdr = (struct msghdr){.msg_name = &phones[i].target, .msg_namelen = sizeof phones[i].target,
                                                      .msg_iov = &out->parts[count], .msg_iovlen = 1};
    }
    int gone = sendmmsg(fd, out->headers, (unsigned)count, MSG_DONTWAIT);
    sent += gone > 0 ? (uint64_t)gone : 0;
    return (uint32_t)(gone > 0 ? gone : 1); /* one that fails is lost, the others are sent */
}

static void send_all(double seconds) {
    static batch out;
    uint64_t start = now(CLOCK_MONOTONIC), rounds = (uint64_t)(seconds * 1e9) / INTERVAL;
    for (uint64_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < phone_count; i += send_some(&out, start, round, i)) {
            uint64_t due = start + round * INTERVAL + INTERVAL * i / phone_count;
            if (now(CLOCK_MONOTONIC) < due)
                sleep_until(due + 200000); /* a few at a time, as a network delivers them */
        }
    sleep_until(now(CLOCK_MONOTONIC) + GRACE);
}

/* What comes is looked at when there is time: a sender that waits for the slice of the reader sends in heaps, and the relay's
 * queue is then ours. Where it may not (root may), late_send_ms tells of it. */
static void be_punctual(void) {
    struct sched_param priority = {.sched_priority = 1};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
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
        if ((!i || phones[i].fd != phones[i - 1].fd) && !getsockopt(phones[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
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

static void open_phone(int port, int target) {
    static int last_port;
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, size = BUFFER;
    phone *opened = &phones[phone_count];
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    opened->target = local;
    opened->target.sin_port = htons((uint16_t)target);
    by_target[target] = ++phone_count;
    if (port == last_port) {
        opened->fd = opened[-1].fd;
        is_crowd = 1;
        return;
    }
    last_port = port;
    opened->fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(opened->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    setsockopt(opened->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(opened->fd, (struct sockaddr *)&local, sizeof local)) {
        perror("bind");
        exit(1);
    }
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
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
    while (phone_count < MAX_PHONES && scanf("%d %d", &port, &target) == 2)
        open_phone(port, target);
    pthread_create(&thread, NULL, receive, NULL);
    be_punctual();
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
