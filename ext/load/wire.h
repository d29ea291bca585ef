/* How the phones of a load reach the server: sockets that Python has opened, bound and connected.
 *
 * A flow is a UDP socket, a TCP connection, or one that Python reads and writes itself (TLS): then what is to go out waits
 * in `out` until it is fetched.
 */
#ifndef LD_WIRE_H
#define LD_WIRE_H

#include "text.h"
#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

enum { LD_UDP, LD_TCP, LD_FED, LD_BATCH = 32, LD_DATAGRAM = 8192, LD_STREAM = 1 << 18 };

typedef struct {
    int fd;
    uint8_t kind;
    bool closed;
    char host[64]; /* as it is written in Via and Contact, with its port */
    char *in, *out; /* of a stream, LD_STREAM octets each */
    size_t in_length, out_length;
} ld_flow;

typedef struct {
    struct mmsghdr headers[LD_BATCH];
    struct iovec pieces[LD_BATCH];
    char room[LD_BATCH][LD_DATAGRAM];
} ld_batch;

static const char *const ld_transports[] = {"UDP", "TCP", "TLS"};

static bool ld_flow_open(ld_flow *flow, int fd, int kind, const char *host) {
    *flow = (ld_flow){.fd = fd, .kind = (uint8_t)kind};
    snprintf(flow->host, sizeof flow->host, "%s", host);
    if (kind == LD_UDP)
        return true;
    flow->in = malloc(LD_STREAM), flow->out = malloc(LD_STREAM);
    return flow->in && flow->out;
}

static void ld_flow_close(ld_flow *flow) {
    free(flow->in), free(flow->out);
    flow->in = flow->out = NULL;
}

/* What a stream could not take yet. */
static void ld_flow_flush(ld_flow *flow) {
    size_t done = 0;
    while (flow->kind == LD_TCP && done < flow->out_length) {
        ssize_t size = send(flow->fd, flow->out + done, flow->out_length - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size <= 0) {
            flow->closed |= size < 0 && errno != EAGAIN && errno != EINTR;
            break;
        }
        done += (size_t)size;
    }
    memmove(flow->out, flow->out + done, flow->out_length - done);
    flow->out_length -= done;
}

/* False: it is lost. */
static bool ld_flow_send(ld_flow *flow, const char *text, size_t length) {
    if (flow->kind == LD_UDP) {
        ssize_t sent;
        do /* an ICMP error of an earlier datagram is told once, by the next call */
            sent = send(flow->fd, text, length, MSG_DONTWAIT);
        while (sent < 0 && (errno == EINTR || errno == ECONNREFUSED));
        return sent == (ssize_t)length;
    }
    if (flow->closed || flow->out_length + length > LD_STREAM)
        return false;
    memcpy(flow->out + flow->out_length, text, length);
    flow->out_length += length;
    ld_flow_flush(flow);
    return true;
}

static void ld_batch_open(ld_batch *batch) {
    memset(batch->headers, 0, sizeof batch->headers);
    for (int i = 0; i < LD_BATCH; i++) {
        batch->pieces[i] = (struct iovec){batch->room[i], LD_DATAGRAM - 1};
        batch->headers[i].msg_hdr.msg_iov = &batch->pieces[i];
        batch->headers[i].msg_hdr.msg_iovlen = 1;
    }
}

/* Octets of the first message in a stream, 0 when it is not whole yet; what keeps a connection alive is left out. */
static size_t ld_stream_message(ld_flow *flow) {
    size_t blank = strspn(flow->in, "\r\n");
    if (blank) {
        memmove(flow->in, flow->in + blank, flow->in_length - blank + 1);
        flow->in_length -= blank;
    }
    ld_message message;
    const char *end = strstr(flow->in, "\r\n\r\n");
    if (!end)
        return 0;
    message = (ld_message){.text = flow->in, .body = end + 4};
    ld_piece length = ld_header(&message, "Content-Length", 'l');
    size_t whole = (size_t)(end + 4 - flow->in) + (length.at ? strtoul(length.at, NULL, 10) : 0);
    return whole <= flow->in_length ? whole : 0;
}

/* Datagrams that came and found the socket's buffer full. */
static uint64_t ld_socket_drops(int fd) {
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof memory;
    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) ? memory[SK_MEMINFO_DROPS] : 0;
}

#endif
