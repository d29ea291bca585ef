/* UDP sockets of a port. Every function returns a descriptor or 0, or a negative errno. */
#ifndef VP_SOCKET_H
#define VP_SOCKET_H

#include <errno.h>
#include <unistd.h>

#include "address.h"

/* The caller owns the descriptor. `dscp` is 0..63. */
static inline int vp_socket_open(const vp_address *local, int dscp) {
    int fd = socket(local->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, tos = dscp << 2;
    if (fd < 0)
        return -errno;
    if (local->family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    } else {
        setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    }
    if (bind(fd, &local->any, vp_address_length(local)) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static inline int vp_socket_connect(int fd, const vp_address *remote) {
    return connect(fd, &remote->any, vp_address_length(remote)) < 0 ? -errno : 0;
}

/* The local address stays: it was bound explicitly. */
static inline int vp_socket_disconnect(int fd) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    return connect(fd, &none, sizeof none) < 0 ? -errno : 0;
}

/* `remote` NULL: the socket is connected. An ICMP error of an earlier packet must not cost this one: tried twice. */
static inline int vp_socket_send(int fd, const uint8_t *packet, size_t length, const vp_address *remote) {
    const struct sockaddr *to = remote ? &remote->any : NULL;
    socklen_t size = remote ? vp_address_length(remote) : 0;
    if (sendto(fd, packet, length, MSG_DONTWAIT, to, size) >= 0)
        return 0;
    if (errno == ECONNREFUSED && sendto(fd, packet, length, MSG_DONTWAIT, to, size) >= 0)
        return 0;
    return -errno;
}

#endif
