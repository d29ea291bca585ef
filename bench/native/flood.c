/* Sends one SIP request again and again from many loopback addresses, and counts what comes back.
 *
 * usage: flood TARGET PORT SOURCES RATE SECONDS < REQUEST
 * TARGET is 127.0.0.1 and the like; the sources are 127.0.1.1, 127.0.1.2, ... with a port of the kernel's. SOURCES 0 is
 * a forged flood: each request comes from another of 8 million addresses, and no answer is used. In REQUEST
 * the texts @SOURCE@, @PORT@ and @COUNT@ (ten digits) are filled in. When the answer has a nonce, the next request of
 * that source carries it in place of the 48 zeroes of nonce="000..." in REQUEST, as a guesser of passwords does.
 * Prints {"sent", "unsent", "bytes_out", "answers", "bytes_in", "worst_ratio", "statuses": {...}}; worst_ratio is that
 * of the source that got most bytes for each it sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SOURCES = 1000, SIZE = 8192, NONCE = 48, STATUSES = 700 };

typedef struct {
    int fd;
    char request[SIZE];
    size_t length;
    char *count[8], *nonce; /* where they stand in the request */
    int counts;
    uint64_t sent, received;
} source;

static source *sources;
static uint64_t statuses[STATUSES], answers, sent, unsent;
static int is_forged;
static struct sockaddr_in forged_at;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fill(char *text, const char *name, const char *value) {
    char *found, rest[SIZE];
    while ((found = strstr(text, name)) != NULL) {
        snprintf(rest, sizeof rest, "%s%s", value, found + strlen(name));
        memcpy(found, rest, strlen(rest) + 1);
    }
}

static void prepare(source *one, int number, const char *template, const struct sockaddr_in *target) {
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t size = sizeof local;
    char text[32];
    int buffer = 1 << 20;
    if (!is_forged)
        local.sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(number / 250) * 256 + (uint32_t)(number % 250));
    one->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(one->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (one->fd < 0 || bind(one->fd, (struct sockaddr *)&local, sizeof local) ||
        (!is_forged && connect(one->fd, (const struct sockaddr *)target, sizeof *target))) {
        perror("flood");
        exit(1);
    }
    getsockname(one->fd, (struct sockaddr *)&local, &size);
    strcpy(one->request, template);
    fill(one->request, "@SOURCE@", inet_ntop(AF_INET, &local.sin_addr, text, sizeof text));
    snprintf(text, sizeof text, "%d", ntohs(local.sin_port));
    fill(one->request, "@PORT@", text);
    for (char *at = one->request; one->counts < 8 && (at = strstr(at, "@COUNT@")) != NULL; at += 10) {
        memmove(at + 10, at + 7, strlen(at + 7) + 1);
        memset(at, '0', 10);
        one->count[one->counts++] = at;
    }
    one->nonce = is_forged ? NULL : strstr(one->request, "nonce=\"0000");
    one->length = strlen(one->request);
}

/* The source address is chosen for each datagram (ip(7), IP_PKTINFO): any of 127.128.0.0/9 is ours. */
static ssize_t send_forged(source *one, uint64_t number) {
    struct {
        struct cmsghdr head;
        struct in_pktinfo info;
    } control = {.head = {CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO}};
    struct iovec text = {one->request, one->length};
    struct msghdr message = {
        .msg_name = &forged_at, .msg_namelen = sizeof forged_at, .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.info.ipi_spec_dst.s_addr = htonl(0x7f800000u | (uint32_t)(number * 2654435761u >> 9 & 0x7fffff));
    return sendmsg(one->fd, &message, 0);
}

static void send_one(source *one, uint64_t number) {
    char digits[16];
    snprintf(digits, sizeof digits, "%010llu", (unsigned long long)number);
    for (int i = 0; i < one->counts; i++)
        memcpy(one->count[i], digits, 10);
    if ((is_forged ? send_forged(one, number) : send(one->fd, one->request, one->length, 0)) < 0) {
        unsent++;
        return;
    }
    one->sent += one->length;
    sent++;
}

static void take(source *one) {
    char answer[SIZE];
    ssize_t length;
    while ((length = recv(one->fd, answer, sizeof answer - 1, 0)) > 0) {
        answer[length] = 0;
        one->received += (uint64_t)length;
        answers++;
        int status = strncmp(answer, "SIP/2.0 ", 8) ? 0 : atoi(answer + 8);
        statuses[status > 0 && status < STATUSES ? status : 0]++;
        char *nonce = one->nonce ? strstr(answer, "nonce=\"") : NULL;
        if (nonce && strlen(nonce) > 7 + NONCE)
            memcpy(one->nonce + 7, nonce + 7, NONCE);
    }
}

static void report(int count) {
    uint64_t out = 0, in = 0;
    double worst = 0;
    const char *comma = "";
    for (int i = 0; i < count; i++) {
        out += sources[i].sent;
        in += sources[i].received;
        if (sources[i].sent && (double)sources[i].received / (double)sources[i].sent > worst)
            worst = (double)sources[i].received / (double)sources[i].sent;
    }
    printf("{\"sent\": %llu, \"unsent\": %llu, \"bytes_out\": %llu, \"answers\": %llu, \"bytes_in\": %llu, ",
           (unsigned long long)sent, (unsigned long long)unsent, (unsigned long long)out,
           (unsigned long long)answers, (unsigned long long)in);
    printf("\"worst_ratio\": %.3f, \"statuses\": {", worst);
    for (int status = 0; status < STATUSES; status++)
        if (statuses[status]) {
            printf("%s\"%d\": %llu", comma, status, (unsigned long long)statuses[status]);
            comma = ", ";
        }
    printf("}}\n");
}

int main(int argc, char **argv) {
    static char template[SIZE / 2];
    struct epoll_event events[64];
    if (argc != 6) {
        fprintf(stderr, "usage: flood TARGET PORT SOURCES RATE SECONDS < REQUEST\n");
        return 2;
    }
    int count = atoi(argv[3]), poll = epoll_create1(0);
    double rate = atof(argv[4]), begin, end;
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    is_forged = count == 0;
    count += is_forged;
    if (count < 1 || count > MAX_SOURCES || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1)
        return 2;
    if (fread(template, 1, sizeof template - 1, stdin) == 0)
        return 2;
    forged_at = target;
    sources = calloc((size_t)count, sizeof *sources);
    for (int i = 0; i < count; i++) {
        prepare(&sources[i], i, template, &target);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &sources[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, sources[i].fd, &event);
    }
    begin = now();
    end = begin + atof(argv[5]);
    for (uint64_t number = 0;;) {
        double time = now();
        if (time >= end + 0.5)
            break;
        for (uint64_t due = (uint64_t)((time - begin) * rate); number < due && time < end; number++)
            send_one(&sources[number % (uint64_t)count], number);
        int ready = epoll_wait(poll, events, 64, 1);
        for (int i = 0; i < ready; i++)
            take(events[i].data.ptr);
    }
    report(count);
    return 0;
}
