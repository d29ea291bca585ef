/* The floor: a relay with nothing but epoll and recvfrom/sendto per socket, one thread, no rules, no counters but one.
 *
 * usage: bare_relay SECONDS < PAIRS        a line a call: "PORT_A PHONE_A PORT_B PHONE_B", all on 127.0.0.1
 * Prints "ready" when every socket is bound, then {"packets": relayed, "cpu_s": thread time}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_SOCKETS = 20000 };

typedef struct {
    int fd;
    uint32_t peer;
    struct sockaddr_in phone;
} leg;

static leg legs[MAX_SOCKETS];

static double clock_of(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_leg(uint32_t index, int epoll_fd, int port, int phone) {
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    leg *one = &legs[index];
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    one->peer = index ^ 1;
    one->phone = local;
    one->phone.sin_port = htons((uint16_t)phone);
    if (one->fd < 0 || bind(one->fd, (struct sockaddr *)&local, sizeof local)) {
        perror("bind");
        exit(1);
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, one->fd, &event);
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
    int epoll_fd = epoll_create1(0), a, phone_a, b, phone_b;
    uint32_t opened = 0;
    uint64_t packets = 0;
    if (count != 2)
        return 2;
    setrlimit(RLIMIT_NOFILE, &files);
    while (opened + 2 <= MAX_SOCKETS && scanf("%d %d %d %d", &a, &phone_a, &b, &phone_b) == 4) {
        open_leg(opened++, epoll_fd, a, phone_a);
        open_leg(opened++, epoll_fd, b, phone_b);
    }
    puts("ready");
    fflush(stdout);
    double end = clock_of(CLOCK_MONOTONIC) + atof(words[1]), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
    while (clock_of(CLOCK_MONOTONIC) < end) {
        struct epoll_event ready[128];
        int events = epoll_wait(epoll_fd, ready, 128, 100);
        for (int i = 0; i < events; i++) {
            uint8_t packet[2048];
            struct sockaddr_in source;
            socklen_t size = sizeof source;
            leg *in = &legs[ready[i].data.u32], *out = &legs[in->peer];
            ssize_t length = recvfrom(in->fd, packet, sizeof packet, 0, (struct sockaddr *)&source, &size);
            if (length > 0)
                packets += sendto(out->fd, packet, (size_t)length, 0, (struct sockaddr *)&out->phone, sizeof out->phone) > 0;
        }
    }
    printf("{\"packets\": %lu, \"cpu_s\": %.6f}\n", packets, clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu);
    return 0;
}
