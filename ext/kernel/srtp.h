/* SRTP and SRTCP (RFC 3711, 7714) of one port, by the libsrtp that pylibsrtp brings: its functions come as addresses and
 * its sessions as pointers. Python makes both and keeps them alive until `version` says that the worker has let go of them.
 *
 * What is sealed goes into a buffer of its own, so that nobody else needs room behind a packet.
 */
#ifndef VP_SRTP_H
#define VP_SRTP_H

#include "rtp.h"
#include "stream.h"

enum {
    VP_SRTP_SLACK = 4 + 16 + 128, /* SRTP_MAX_TRAILER_LEN of libsrtp, with the index of SRTCP */
    VP_SRTP_MKI_MAX = 128,
    VP_SRTP_AUTH_FAIL = 7, /* srtp_err_status_t of libsrtp 2 */
    VP_SRTP_REPLAY_FAIL = 9,
    VP_SRTP_REPLAY_OLD = 10,
};

/* Packets under the keys before are still on their way for so long after a change of keys. */
#define VP_SRTP_OVERLAP (2 * VP_SECOND)

typedef struct {
    int (*protect)(void *session, void *packet, int *length);
    int (*unprotect)(void *session, void *packet, int *length);
    int (*protect_rtcp)(void *session, void *packet, int *length);
    int (*unprotect_rtcp)(void *session, void *packet, int *length);
    int (*get_roc)(void *session, uint32_t ssrc, uint32_t *roc);
    int (*set_roc)(void *session, uint32_t ssrc, uint32_t roc);
    int (*update)(void *session, const void *policy);
} vp_srtp_library;

/* AWAITED: the port is to be secure and has no keys yet; nothing passes either way. */
typedef enum { VP_CRYPTO_OFF, VP_CRYPTO_AWAITED, VP_CRYPTO_ON } vp_crypto_state;

typedef struct {
    const vp_srtp_library *library;
    void *send, *receive; /* srtp_t, owned by Python */
    void *previous;       /* NULL, or how to receive what was sent before the keys changed */
    uint64_t previous_until;
    uint32_t version;  /* of the command that was applied last; the face reads it */
    uint32_t roc_ssrc; /* whose rollover counter `receive` gets from `previous` */
    bool roc_awaited;
    bool dtls; /* datagrams of DTLS go up */
    uint8_t state;
    uint8_t mki_length, mki_tail, mki_rtcp_tail; /* octets of the MKI in what comes, and those behind it */
} vp_srtp;

/* The MKI (RFC 3711 §3.1) names one key of several; with one key it only stands in the way. It is not authenticated. */
static inline bool vp_srtp_strip_mki(uint8_t *packet, size_t *length, size_t mki, size_t tail) {
    if (!mki)
        return true;
    if (*length < VP_RTP_HEADER + mki + tail)
        return false;
    memmove(packet + *length - tail - mki, packet + *length - tail, tail);
    *length -= mki;
    return true;
}

/* RFC 3711 §3.3.1: a change of keys leaves the rollover counter of an SSRC as it is. It is set for the packet at hand, of
 * which the sequence may have wrapped since the last one that the session before has seen. */
static inline void vp_srtp_carry_roc(vp_srtp *srtp, const vp_rtp *rtp, const vp_stream *stream) {
    uint32_t roc = 0;
    uint16_t highest = (uint16_t)stream->highest;
    if (!srtp->roc_awaited || rtp->ssrc != srtp->roc_ssrc || stream->ssrc != srtp->roc_ssrc)
        return;
    if (srtp->library->get_roc(srtp->previous, rtp->ssrc, &roc))
        return;
    int16_t step = (int16_t)(rtp->sequence - highest);
    if (step > 0 && rtp->sequence < highest)
        roc++;
    else if (step < 0 && rtp->sequence > highest && roc)
        roc--;
    srtp->library->set_roc(srtp->receive, rtp->ssrc, roc);
}

/* While packets under the old keys may come: the new keys first. GCM decrypts before it knows, so that the second try
 * needs the packet as it was. */
static inline int vp_srtp_unprotect_either(
    vp_srtp *srtp, uint8_t *packet, int *size, const vp_rtp *rtp, const vp_stream *stream
) {
    uint8_t copy[VP_MAX_PACKET];
    int length = *size;
    memcpy(copy, packet, (size_t)length);
    vp_srtp_carry_roc(srtp, rtp, stream);
    int status = srtp->library->unprotect(srtp->receive, packet, size);
    if (!status) {
        srtp->roc_awaited = false;
        return 0;
    }
    if (status != VP_SRTP_AUTH_FAIL)
        return status;
    *size = length;
    memcpy(packet, copy, (size_t)length);
    return srtp->library->unprotect(srtp->previous, packet, size);
}

/* In place; 0, or a status of libsrtp. `rtp` is the header as it came. */
static inline int vp_srtp_unprotect(
    vp_srtp *srtp, uint8_t *packet, size_t *length, const vp_rtp *rtp, const vp_stream *stream, uint64_t now
) {
    if (!vp_srtp_strip_mki(packet, length, srtp->mki_length, srtp->mki_tail))
        return -1;
    int size = (int)*length, status;
    /* The counter must have been handed over before the keys before are let go of. */
    if (srtp->previous && now >= srtp->previous_until && !srtp->roc_awaited)
        srtp->previous = NULL;
    if (srtp->previous)
        status = vp_srtp_unprotect_either(srtp, packet, &size, rtp, stream);
    else
        status = srtp->library->unprotect(srtp->receive, packet, &size);
    *length = status ? *length : (size_t)size;
    return status;
}

static inline int vp_srtp_unprotect_rtcp(vp_srtp *srtp, uint8_t *packet, size_t *length) {
    uint8_t copy[VP_MAX_PACKET];
    if (!vp_srtp_strip_mki(packet, length, srtp->mki_length, srtp->mki_rtcp_tail))
        return -1;
    int size = (int)*length;
    if (srtp->previous)
        memcpy(copy, packet, *length);
    int status = srtp->library->unprotect_rtcp(srtp->receive, packet, &size);
    if (status == VP_SRTP_AUTH_FAIL && srtp->previous) {
        size = (int)*length;
        memcpy(packet, copy, *length);
        status = srtp->library->unprotect_rtcp(srtp->previous, packet, &size);
    }
    *length = status ? *length : (size_t)size;
    return status;
}

/* What leaves the port: `packet` itself, its sealed copy in `sealed` (VP_MAX_PACKET + VP_SRTP_SLACK octets), or NULL when
 * there is no key for it or its sequence was used before. */
static inline const uint8_t *vp_srtp_seal(
    const vp_srtp *srtp, uint8_t *sealed, const uint8_t *packet, size_t *length, bool rtcp
) {
    if (srtp->state == VP_CRYPTO_OFF)
        return packet;
    if (srtp->state != VP_CRYPTO_ON || *length > VP_MAX_PACKET)
        return NULL;
    int size = (int)*length;
    memcpy(sealed, packet, *length);
    if ((rtcp ? srtp->library->protect_rtcp : srtp->library->protect)(srtp->send, sealed, &size))
        return NULL;
    *length = (size_t)size;
    return sealed;
}

#endif
