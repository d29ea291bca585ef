/* Listeners that only listen: a socket each, all read, nothing said.
 *
 * usage: sink LISTENERS PORTS_FROM        even ports on 127.0.0.1, until its input ends
 * Prints "ready", then {"received": packets, "largest_gap_ms": between two packets of one listener}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_SOCKETS = 20000 };

static struct {
    int fd;
    uint64_t last;
} listeners[MAX_SOCKETS];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
    struct epoll_event ready[256];
    int epoll_fd = epoll_create1(0);
    uint64_t received = 0, largest = 0;
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
    }
    puts("ready");
    fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while (!poll(&input, 1, 0)) {
        for (int i = epoll_wait(epoll_fd, ready, 256, 50) - 1; i >= 0; i--) {
            uint8_t packet[2048];
            uint32_t which = ready[i].data.u32;
            if (recv(listeners[which].fd, packet, sizeof packet, 0) <= 0)
                continue;
            uint64_t time = now();
            if (listeners[which].last && time - listeners[which].last > largest)
                largest = time - listeners[which].last;
            listeners[which].last = time;
            received++;
        }
    }
    printf("{\"received\": %lu, \"largest_gap_ms\": %.2f}\n", received, (double)largest / 1e6);
    return 0;
}
