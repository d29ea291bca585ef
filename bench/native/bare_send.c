/* The floor of playing: a tick of 20 ms and one sendto for each listener, one thread, one shared buffer, no rules.
 *
 * usage: bare_send SECONDS LISTENERS SOCKETS_FROM TARGETS_FROM        everything on 127.0.0.1
 * Prints {"packets": sent, "cpu_s": thread time}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SOCKETS = 20000, FRAME = 160, PACKET = 12 + FRAME };

static int sockets[MAX_SOCKETS];
static struct sockaddr_in targets[MAX_SOCKETS];

static double clock_of(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_one(int index, int port, int target) {
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockets[index] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    targets[index] = local;
    targets[index].sin_port = htons((uint16_t)target);
    if (sockets[index] < 0 || bind(sockets[index], (struct sockaddr *)&local, sizeof local)) {
        perror("bind");
        exit(1);
    }
}

int main(int count, char **words) {
    struct rlimit files = {65536, 65536};
    struct itimerspec period = {{0, 20000000}, {0, 20000000}};
    uint64_t packets = 0, expired;
    uint16_t number = 0;
    if (count != 5 || atoi(words[2]) > MAX_SOCKETS)
        return 2;
    setrlimit(RLIMIT_NOFILE, &files);
    int listeners = atoi(words[2]), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    for (int i = 0; i < listeners; i++)
        open_one(i, atoi(words[3]) + 2 * i, atoi(words[4]) + 2 * i);
    timerfd_settime(timer, 0, &period, NULL);
    double end = clock_of(CLOCK_MONOTONIC) + atof(words[1]), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
    while (clock_of(CLOCK_MONOTONIC) < end && read(timer, &expired, sizeof expired) > 0) {
        for (; expired; expired--, number++)
            for (int i = 0; i < listeners; i++) {
                uint8_t packet[PACKET] = {0x80, 0};
                uint32_t timestamp = htonl(number * 160u), ssrc = htonl((uint32_t)i);
                uint16_t sequence = htons(number);
                memcpy(packet + 2, &sequence, 2);
                memcpy(packet + 4, &timestamp, 4);
                memcpy(packet + 8, &ssrc, 4);
                packets += sendto(sockets[i], packet, PACKET, MSG_DONTWAIT, (struct sockaddr *)&targets[i],
                                  sizeof targets[i]) > 0;
            }
    }
    printf("{\"packets\": %lu, \"cpu_s\": %.6f}\n", packets, clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu);
    return 0;
}
