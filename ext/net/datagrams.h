// One socket's datagrams in batches (recvmmsg), and peers as the kernel wants them.
#ifndef VOIPAT_DATAGRAMS_H
#define VOIPAT_DATAGRAMS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

// A batch is what others of the loop wait for: some 2 ms of work.
enum { BATCH = 16, LARGEST_DATAGRAM = 65536, LITERAL_SIZE = INET6_ADDRSTRLEN };

typedef struct {
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    size_t size;
} Peer;

typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH];
    struct sockaddr_storage names[BATCH];
} Room;

static void room_open(Room* room, char* space) {
    memset(room, 0, sizeof *room);
    for (int i = 0; i < BATCH; i++) {
        room->pieces[i].iov_base = space + (size_t)i * LARGEST_DATAGRAM;
        room->pieces[i].iov_len = LARGEST_DATAGRAM;
        room->headers[i].msg_hdr.msg_iov = &room->pieces[i];
        room->headers[i].msg_hdr.msg_iovlen = 1;
        room->headers[i].msg_hdr.msg_name = &room->names[i];
    }
}

// How many came; 0 when none waits, -1 with errno.
static int room_fill(Room* room, int fd) {
    for (int i = 0; i < BATCH; i++) room->headers[i].msg_hdr.msg_namelen = sizeof room->names[i];
    int count;
    do count = recvmmsg(fd, room->headers, BATCH, MSG_DONTWAIT, NULL);
    while (count < 0 && errno == EINTR);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : count;
}

static const char* room_data(const Room* room, int index, Py_ssize_t* size) {
    *size = room->headers[index].msg_len;
    return room->pieces[index].iov_base;
}

// Port and address: the same bytes for the same peer. Flow label and scope are no part of it.
static const char* room_key(const Room* room, int index, Py_ssize_t* size) {
    const struct sockaddr_storage* name = &room->names[index];
    if (name->ss_family == AF_INET) {
        *size = sizeof(in_port_t) + sizeof(struct in_addr);
        return (const char*)&((const struct sockaddr_in*)name)->sin_port;
    }
    *size = offsetof(struct sockaddr_in6, sin6_scope_id) - offsetof(struct sockaddr_in6, sin6_port);
    return (const char*)&((const struct sockaddr_in6*)name)->sin6_port;
}

// Writes the IP literal, returns the port.
static int room_literal(const Room* room, int index, char* text) {
    const struct sockaddr_storage* name = &room->names[index];
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in* v4 = (const struct sockaddr_in*)name;
        inet_ntop(AF_INET, &v4->sin_addr, text, LITERAL_SIZE);
        return ntohs(v4->sin_port);
    }
    const struct sockaddr_in6* v6 = (const struct sockaddr_in6*)name;
    inet_ntop(AF_INET6, &v6->sin6_addr, text, LITERAL_SIZE);
    return ntohs(v6->sin6_port);
}

static int peer_of(Peer* peer, const char* host, int port, int v6) {
    memset(peer, 0, sizeof *peer);
    if (port < 0 || port > 65535) return -1;
    if (v6) {
        peer->size = sizeof peer->name.v6;
        peer->name.v6.sin6_family = AF_INET6;
        peer->name.v6.sin6_port = htons((in_port_t)port);
        return inet_pton(AF_INET6, host, &peer->name.v6.sin6_addr) == 1 ? 0 : -1;
    }
    peer->size = sizeof peer->name.v4;
    peer->name.v4.sin_family = AF_INET;
    peer->name.v4.sin_port = htons((in_port_t)port);
    return inet_pton(AF_INET, host, &peer->name.v4.sin_addr) == 1 ? 0 : -1;
}

// Datagrams that leave by one system call: their peers are woken once, not once for each.
enum { GATHERED = 32, LONGEST_WAIT_NS = 1000000 };

typedef struct {
    struct mmsghdr headers[GATHERED];
    struct iovec pieces[GATHERED];
    unsigned first, end;
    int64_t since;
} Gathered;

static int64_t gathered_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Peer and data stay the caller's until `gathered_send`. True when that is due: no room, or the first waits for long.
static int gathered_put(Gathered* gathered, const Peer* peer, const char* data, size_t size) {
    unsigned index = gathered->end++;
    gathered->pieces[index] = (struct iovec){.iov_base = (void*)data, .iov_len = size};
    gathered->headers[index].msg_hdr = (struct msghdr){
        .msg_name = (void*)&peer->name,
        .msg_namelen = (socklen_t)peer->size,
        .msg_iov = &gathered->pieces[index],
        .msg_iovlen = 1,
    };
    if (index == 0) {
        gathered->since = gathered_clock();
        return 0;
    }
    return gathered->end == GATHERED || gathered_clock() - gathered->since > LONGEST_WAIT_NS;
}

// Sends what is left; the index of the first that the kernel does not take, with errno, or -1 when nothing is left.
// Called again it goes on behind that one.
static int gathered_send(Gathered* gathered, int fd) {
    while (gathered->first < gathered->end) {
        int sent = sendmmsg(fd, gathered->headers + gathered->first, gathered->end - gathered->first, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return (int)gathered->first++;
        gathered->first += (unsigned)sent;
    }
    gathered->first = gathered->end = 0;
    return -1;
}

static int alarm_open(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

// Setting it makes it unreadable, without a read.
static int alarm_set(int fd, int64_t nanoseconds) {
    struct itimerspec when = {.it_value = {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    return timerfd_settime(fd, 0, &when, NULL);
}

static int peer_send(int fd, const Peer* peer, const char* data, size_t size) {
    ssize_t sent;
    do sent = sendto(fd, data, size, MSG_DONTWAIT, (const struct sockaddr*)&peer->name, (socklen_t)peer->size);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

#endif
