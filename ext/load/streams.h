/* The media of many phones: stamped RTP, one packet of each stream every 20 ms, and what comes back.
 *
 * The streams are spread evenly over the 20 ms. Where payloads pass the server unchanged they begin with a magic, the time
 * of sending and a number, so that loss and delay are known from one phone to the other; of any RTP the sequence numbers
 * and the times of arrival are followed. Sockets are Python's, bound and connected; sending and receiving have a thread each.
 */
#ifndef LD_STREAMS_H
#define LD_STREAMS_H

#include "agent.h"
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { LD_RTP = 12, LD_PACKET = 1500, LD_SLACK = 144, LD_LATE_MS = 60 };

static const uint64_t LD_MAGIC = 0x564f495041544c44ULL, LD_PTIME = 20 * LD_MS;

typedef int (*ld_crypt)(void *session, void *packet, int *length);

/* The audio that is sent again and again, as payloads of 20 ms. */
typedef struct {
    const uint8_t *octets;
    const uint32_t *ends; /* of each payload in `octets` */
    uint32_t count, step; /* step: of the RTP timestamp */
    bool is_stamped;
} ld_audio;

typedef struct {
    int fd;
    uint8_t payload_type;
    const ld_audio *audio;
    void *seal, *open; /* libsrtp sessions, NULL without SRTP */
    uint32_t ssrc, next, timestamp;
    uint16_t sequence;
    uint16_t heard; /* the newest sequence number that came */
    uint64_t came, number;
    double jitter; /* RFC 3550 §6.4.1, in ns */
    uint64_t received, missing, late;
} ld_stream;

typedef struct {
    uint64_t magic, time, number;
} ld_stamp;

typedef struct {
    ld_stream *streams;
    uint32_t count;
    ld_crypt protect, unprotect;
    uint64_t sent, received, stamped, unsent, unopened, sender_ns, receiver_ns;
    ld_histogram lateness, delay, gap;
    volatile int stopping, running;
} ld_choir;

static uint64_t ld_thread_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * LD_SECOND + (uint64_t)time.tv_nsec;
}

static void ld_stream_send(ld_choir *choir, ld_stream *stream) {
    uint8_t packet[LD_PACKET + LD_SLACK] = {0x80, stream->payload_type};
    const ld_audio *audio = stream->audio;
    uint32_t index = stream->next % audio->count, begin = index ? audio->ends[index - 1] : 0;
    int length = (int)(audio->ends[index] - begin);
    uint16_t sequence = htons(stream->sequence);
    uint32_t timestamp = htonl(stream->timestamp), ssrc = htonl(stream->ssrc);
    memcpy(packet + 2, &sequence, 2), memcpy(packet + 4, &timestamp, 4), memcpy(packet + 8, &ssrc, 4);
    memcpy(packet + LD_RTP, audio->octets + begin, (size_t)length);
    length += LD_RTP;
    if (audio->is_stamped) {
        ld_stamp stamp = {LD_MAGIC, ld_now(), stream->next + 1};
        memcpy(packet + LD_RTP, &stamp, sizeof stamp);
    }
    stream->next++, stream->sequence++, stream->timestamp += audio->step;
    if (stream->seal && choir->protect(stream->seal, packet, &length))
        choir->unsent++;
    else if (send(stream->fd, packet, (size_t)length, MSG_DONTWAIT) == length)
        choir->sent++;
    else
        choir->unsent++;
}

/* Until `stopping`. Due times are counted from the start: a sender that is late says so, and sends all the same. */
static void ld_choir_send(ld_choir *choir) {
    uint64_t start = ld_now(), begun = ld_thread_ns();
    for (uint64_t round = 0; !choir->stopping; round++)
        for (uint32_t i = 0; i < choir->count && !choir->stopping; i++) {
            uint64_t due = start + round * LD_PTIME + LD_PTIME * i / choir->count, now = ld_now();
            if (now < due) {
                uint64_t until = due + 200000; /* a few at a time, as a network delivers them */
                struct timespec time = {(time_t)(until / LD_SECOND), (long)(until % LD_SECOND)};
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
                now = ld_now();
            }
            ld_histogram_add(&choir->lateness, now - due);
            ld_stream_send(choir, &choir->streams[i]);
            if (i % 64 == 0)
                choir->sender_ns = ld_thread_ns() - begun;
        }
}

static void ld_stream_follow(ld_choir *choir, ld_stream *stream, const uint8_t *packet, uint64_t now) {
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]), step = (uint16_t)(sequence - stream->heard);
    if (stream->received && (!step || step > 0x8000))
        return; /* a duplicate, or overtaken */
    if (stream->received) {
        int64_t difference = (int64_t)(now - stream->came) - (int64_t)(step * LD_PTIME);
        stream->jitter += ((double)(difference < 0 ? -difference : difference) - stream->jitter) / 16;
        stream->missing += step - 1u;
        stream->late += now - stream->came > LD_LATE_MS * LD_MS;
        ld_histogram_add(&choir->gap, now - stream->came);
    }
    stream->came = now;
    stream->heard = sequence;
    stream->received++;
}

static void ld_stream_take(ld_choir *choir, ld_stream *stream) {
    uint8_t packet[LD_PACKET + LD_SLACK];
    int length = (int)recv(stream->fd, packet, sizeof packet, MSG_DONTWAIT);
    if (length < LD_RTP || (packet[1] & 0x7f) == 72 || (packet[1] & 0x7f) == 73)
        return;
    if (stream->open && choir->unprotect(stream->open, packet, &length)) {
        choir->unopened++;
        return;
    }
    uint64_t now = ld_now();
    choir->received++;
    ld_stream_follow(choir, stream, packet, now);
    ld_stamp stamp;
    if (length < LD_RTP + (int)sizeof stamp)
        return;
    memcpy(&stamp, packet + LD_RTP, sizeof stamp);
    if (stamp.magic != LD_MAGIC || stamp.number <= stream->number)
        return;
    stream->number = stamp.number;
    choir->stamped++;
    ld_histogram_add(&choir->delay, now - stamp.time);
}

static void ld_choir_receive(ld_choir *choir) {
    struct epoll_event event = {.events = EPOLLIN}, ready[256];
    uint64_t begun = ld_thread_ns();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < choir->count; i++) {
        event.data.u32 = i;
        epoll_ctl(epoll, EPOLL_CTL_ADD, choir->streams[i].fd, &event);
    }
    while (choir->stopping < 2) {
        for (int i = epoll_wait(epoll, ready, 256, 50) - 1; i >= 0; i--)
            ld_stream_take(choir, &choir->streams[ready[i].data.u32]);
        choir->receiver_ns = ld_thread_ns() - begun;
    }
    close(epoll);
}

#endif
