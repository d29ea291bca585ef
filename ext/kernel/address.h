/* A transport address as the sockets want it, compared as media rules want it. */
#ifndef VP_ADDRESS_H
#define VP_ADDRESS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

typedef union {
    sa_family_t family;
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} vp_address;

static inline socklen_t vp_address_length(const vp_address *address) {
    return address->family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

static inline uint16_t vp_address_port(const vp_address *address) {
    return ntohs(address->family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

static inline void vp_address_set_port(vp_address *address, uint16_t port) {
    if (address->family == AF_INET6)
        address->v6.sin6_port = htons(port);
    else
        address->v4.sin_port = htons(port);
}

/* Somewhere a packet can be sent to: not 0.0.0.0, the hold of RFC 2543, and not a group or a whole network. */
static inline bool vp_address_usable(const vp_address *address) {
    if (address->family == AF_INET) {
        uint32_t host = ntohl(address->v4.sin_addr.s_addr);
        return address->v4.sin_port != 0 && host != INADDR_ANY && host != INADDR_BROADCAST && !IN_MULTICAST(host);
    }
    const struct in6_addr *host = &address->v6.sin6_addr;
    bool single = !IN6_IS_ADDR_UNSPECIFIED(host) && !IN6_IS_ADDR_MULTICAST(host);
    return address->family == AF_INET6 && address->v6.sin6_port != 0 && single;
}

static inline bool vp_address_same_host(const vp_address *a, const vp_address *b) {
    if (a->family != b->family)
        return false;
    if (a->family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->family == AF_INET6 && memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

static inline bool vp_address_equal(const vp_address *a, const vp_address *b) {
    return vp_address_same_host(a, b) && vp_address_port(a) == vp_address_port(b);
}

/* 0, or -1 when `host` is no IP literal. */
static inline int vp_address_parse(vp_address *address, const char *host, uint16_t port) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1)
        address->family = AF_INET;
    else if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1)
        address->family = AF_INET6;
    else
        return -1;
    vp_address_set_port(address, port);
    return 0;
}

/* `text` holds INET6_ADDRSTRLEN bytes; empty for an address that is not set. */
static inline const char *vp_address_host(const vp_address *address, char *text) {
    text[0] = 0;
    if (address->family == AF_INET)
        inet_ntop(AF_INET, &address->v4.sin_addr, text, INET6_ADDRSTRLEN);
    else if (address->family == AF_INET6)
        inet_ntop(AF_INET6, &address->v6.sin6_addr, text, INET6_ADDRSTRLEN);
    return text;
}

#endif
