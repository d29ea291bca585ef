/* Listeners that only listen: a socket each, all read, nothing said.
 *
 * usage: sink LISTENERS PORTS_FROM        even ports on 127.0.0.1, until its input ends
 * Prints "ready", then for each line of input {"received": RTP packets, "missing": numbers that were skipped,
 * "largest_gap_ms": between two packets of one listener, "cpu_s", "kernel_drops"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SOCKETS = 20000 };

static struct {
    int fd;
    uint16_t sequence;
    uint64_t last;
} listeners[MAX_SOCKETS];

static int count_of_listeners;
static uint64_t received, missing, largest;

static uint64_t clock_of(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void hear(uint32_t which) {
    uint8_t packet[2048];
    uint64_t time = clock_of(CLOCK_MONOTONIC);
    if (recv(listeners[which].fd, packet, sizeof packet, 0) < 12 || packet[1] >= 200)
        return; /* nothing, or RTCP */
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
    if (listeners[which].last) {
        uint16_t step = (uint16_t)(sequence - listeners[which].sequence);
        missing += step && step < 0x8000 ? step - 1u : 0;
        largest = time - listeners[which].last > largest ? time - listeners[which].last : largest;
    }
    listeners[which].last = time;
    listeners[which].sequence = sequence;
    received++;
}

static uint64_t kernel_drops(void) {
    uint64_t drops = 0;
    for (int i = 0; i < count_of_listeners; i++) {
        uint32_t memory[SK_MEMINFO_VARS] = {0};
        socklen_t size = sizeof memory;
        if (!getsockopt(listeners[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
            drops += memory[SK_MEMINFO_DROPS];
    }
    return drops;
}

static void report(void) {
    printf("{\"received\": %lu, \"missing\": %lu, \"largest_gap_ms\": %.2f, \"cpu_s\": %.3f, \"kernel_drops\": %lu}\n", received,
           missing, (double)largest / 1e6, (double)clock_of(CLOCK_PROCESS_CPUTIME_ID) / 1e9, kernel_drops());
    fflush(stdout);
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
    struct epoll_event ready[256];
    int epoll_fd = epoll_create1(0);
    if (count != 3 || atoi(words[1]) > MAX_SOCKETS)
        return 2;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < atoi(words[1]); i++) {
        struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(atoi(words[2]) + 2 * i))};
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listeners[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (listeners[i].fd < 0 || bind(listeners[i].fd, (struct sockaddr *)&local, sizeof local)) {
            perror("bind");
            return 1;
        }
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listeners[i].fd, &event);
        count_of_listeners++;
    }
    puts("ready");
    fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (;;) {
        char line[64];
        if (poll(&input, 1, 0)) {
            if (read(0, line, sizeof line) <= 0)
                return 0;
            report();
        }
        for (int i = epoll_wait(epoll_fd, ready, 256, 50) - 1; i >= 0; i--)
            hear(ready[i].data.u32);
    }
}
