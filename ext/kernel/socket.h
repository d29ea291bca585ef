/* UDP sockets of a port. Every function returns a descriptor or 0, or a negative errno. */
#ifndef VP_SOCKET_H
#define VP_SOCKET_H

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "bytes.h"

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

/* From now on the kernel notes when each datagram came. */
static inline void vp_socket_stamp(int fd) {
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
}

/* One datagram, its true length as recvfrom tells it, and when it came by the wall clock: 0 where it has no stamp. */
static inline ssize_t vp_socket_receive_stamped(int fd, uint8_t *packet, size_t size, vp_address *source, uint64_t *arrived) {
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec part = {packet, size};
    struct msghdr message = {.msg_name = source, .msg_namelen = sizeof *source, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
    *arrived = 0;
    const struct cmsghdr *head = received < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec time;
        memcpy(&time, CMSG_DATA(head), sizeof time);
        *arrived = (uint64_t)time.tv_sec * VP_SECOND + (uint64_t)time.tv_nsec;
    }
    return received;
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
