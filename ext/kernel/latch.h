/* Whose packets a port takes: symmetric RTP within bounds.
 *
 *            packet of the signalled address
 *   LEARNING ───────────────────────────────▶ LATCHED (exact)          at once, also after the window
 *   LEARNING ─ run of VP_RUN from one source ─▶ LATCHED (by its rank)   only inside the window
 *   LATCHED  ─ better rank, window open ─────▶ LATCHED (by its rank)   an attacker who starts first loses the port
 *   LATCHED  ─ new offer, source silent, equal rank ▶ LATCHED           the far NAT gave the phone another port
 *
 * A source is a candidate while it keeps to one SSRC and a rising sequence, with negotiated payload types. Rank: the
 * signalled address and port, then the signalled host, then the host that the signalling came from, then anyone. When
 * the host of the signalling is known, anyone else must wait VP_STRANGER_WAIT for a better candidate not to come.
 * Everything that is not the latched source is dropped and counted; after the window the rule is strict. A packet that
 * SRTP has authenticated proves its source: it needs no run and no wait.
 */
#ifndef VP_LATCH_H
#define VP_LATCH_H

#include "address.h"
#include "rtp.h"

enum { VP_RUN = 5, VP_RUN_SIGNALLED_HOST = 3, VP_CANDIDATES = 3 };

#define VP_STRANGER_WAIT VP_SECOND
#define VP_SOURCE_SILENT (200 * VP_MILLISECOND)

typedef enum { VP_RANK_NONE, VP_RANK_ANYONE, VP_RANK_SIGNALLING_HOST, VP_RANK_SDP_HOST, VP_RANK_EXACT } vp_rank;
typedef enum { VP_LATCH_ACCEPT, VP_LATCH_NEW, VP_LATCH_LEARNING, VP_LATCH_FOREIGN } vp_latch_verdict;

typedef struct {
    vp_address address;
    uint32_t ssrc;
    uint16_t sequence;
    uint8_t run;
    uint8_t rank;
} vp_candidate;

typedef struct {
    vp_address sdp;        /* the signalled address; family 0 while unknown */
    vp_address signalling; /* whence the signalling came; family 0 when unknown */
    vp_address source;     /* the latched source, valid while rank is not VP_RANK_NONE */
    uint64_t opened, closes; /* the window of learning */
    uint64_t heard;          /* the last packet of the latched source */
    vp_candidate candidates[VP_CANDIDATES];
    uint8_t rank;
    bool learns;   /* false: the signalled address alone */
    bool reopened; /* latched before this offer, with the same signalled address */
} vp_latch;

/* A new offer or answer: learn again. What is latched stays while it is as good as what may come. */
static inline void vp_latch_open(
    vp_latch *latch, const vp_address *sdp, const vp_address *signalling, uint64_t now, uint64_t window
) {
    bool moved = !vp_address_equal(&latch->sdp, sdp);
    memset(latch->candidates, 0, sizeof latch->candidates);
    latch->sdp = *sdp;
    latch->signalling = *signalling;
    latch->opened = now;
    latch->closes = now + window;
    latch->learns = window != 0;
    if (latch->rank != VP_RANK_NONE && vp_address_equal(&latch->source, sdp))
        latch->rank = VP_RANK_EXACT;
    else if (moved)
        latch->rank = VP_RANK_NONE;
    latch->reopened = latch->rank != VP_RANK_NONE;
}

static inline vp_rank vp_latch_rank(const vp_latch *latch, const vp_address *source) {
    if (vp_address_equal(source, &latch->sdp))
        return VP_RANK_EXACT;
    if (vp_address_same_host(source, &latch->sdp))
        return VP_RANK_SDP_HOST;
    return vp_address_same_host(source, &latch->signalling) ? VP_RANK_SIGNALLING_HOST : VP_RANK_ANYONE;
}

/* The candidate with this source, or the least worthy seat for it; NULL when all seats are held by better ones. */
static inline vp_candidate *vp_latch_seat(vp_latch *latch, const vp_address *source, vp_rank rank) {
    vp_candidate *worst = &latch->candidates[0];
    for (int i = 0; i < VP_CANDIDATES; i++) {
        vp_candidate *seat = &latch->candidates[i];
        if (seat->rank && vp_address_equal(&seat->address, source))
            return seat;
        if (seat->rank < worst->rank || (seat->rank == worst->rank && seat->run < worst->run))
            worst = seat;
    }
    return worst->rank <= rank ? worst : NULL;
}

/* Another SSRC or a sequence that does not rise starts the run anew: noise and crossed streams never finish one. */
static inline void vp_latch_count(vp_candidate *seat, const vp_address *source, vp_rank rank, const vp_rtp *rtp) {
    uint16_t step = (uint16_t)(rtp->sequence - seat->sequence);
    bool continues = seat->rank && vp_address_equal(&seat->address, source) && seat->ssrc == rtp->ssrc;
    if (continues && (step == 0 || (int16_t)step < 0))
        return;
    seat->run = continues && step <= 3 ? (uint8_t)(seat->run + 1) : 1;
    seat->address = *source;
    seat->rank = (uint8_t)rank;
    seat->ssrc = rtp->ssrc;
    seat->sequence = rtp->sequence;
}

static inline bool vp_latch_run_done(const vp_latch *latch, const vp_candidate *seat, uint64_t now, bool proven) {
    if (proven)
        return true;
    if (seat->rank >= VP_RANK_SIGNALLING_HOST)
        return seat->run >= VP_RUN_SIGNALLED_HOST;
    bool may = latch->signalling.family == 0 || now - latch->opened >= VP_STRANGER_WAIT;
    return seat->run >= VP_RUN && may;
}

static inline vp_latch_verdict vp_latch_to(vp_latch *latch, const vp_address *source, vp_rank rank, uint64_t now) {
    latch->source = *source;
    latch->rank = (uint8_t)rank;
    latch->heard = now;
    memset(latch->candidates, 0, sizeof latch->candidates);
    return VP_LATCH_NEW;
}

/* May a source of this rank take the port now, if its packets are consistent? */
static inline bool vp_latch_open_to(const vp_latch *latch, vp_rank rank, uint64_t now) {
    if (!latch->learns || now >= latch->closes)
        return false;
    bool rebound = latch->reopened && rank == latch->rank && now - latch->heard >= VP_SOURCE_SILENT;
    return rank > latch->rank || rebound;
}

/* Before anything is spent on a packet: can it come from the source of this port? */
static inline bool vp_latch_may_take(const vp_latch *latch, const vp_address *source, uint64_t now) {
    if (latch->rank != VP_RANK_NONE && vp_address_equal(source, &latch->source))
        return true;
    vp_rank rank = vp_latch_rank(latch, source);
    return (rank == VP_RANK_EXACT && latch->rank == VP_RANK_NONE) || vp_latch_open_to(latch, rank, now);
}

/* Called with packets whose payload type was negotiated; `proven`: SRTP has authenticated it. VP_LATCH_NEW accepts too:
 * the source is another one. */
static inline vp_latch_verdict vp_latch_check(
    vp_latch *latch, const vp_address *source, const vp_rtp *rtp, uint64_t now, bool proven
) {
    if (latch->rank != VP_RANK_NONE && vp_address_equal(source, &latch->source)) {
        latch->heard = now;
        return VP_LATCH_ACCEPT;
    }
    vp_rank rank = vp_latch_rank(latch, source);
    if (rank == VP_RANK_EXACT && (latch->rank == VP_RANK_NONE || vp_latch_open_to(latch, rank, now)))
        return vp_latch_to(latch, source, rank, now);
    if (!vp_latch_open_to(latch, rank, now))
        return VP_LATCH_FOREIGN;
    vp_candidate *seat = vp_latch_seat(latch, source, rank);
    if (!seat)
        return VP_LATCH_FOREIGN;
    vp_latch_count(seat, source, rank, rtp);
    return vp_latch_run_done(latch, seat, now, proven) ? vp_latch_to(latch, source, rank, now) : VP_LATCH_LEARNING;
}

/* No other source than the destination can take the port before the next offer or answer: its socket may be connected.
 * After the window that is the signalled address, also when nothing has come from there. */
static inline bool vp_latch_settled(const vp_latch *latch, uint64_t now) {
    return latch->rank == VP_RANK_EXACT || now >= latch->closes;
}

/* Where packets go: the latched source, else the signalled address; NULL when there is none. */
static inline const vp_address *vp_latch_destination(const vp_latch *latch) {
    const vp_address *address = latch->rank != VP_RANK_NONE ? &latch->source : &latch->sdp;
    return vp_address_usable(address) ? address : NULL;
}

#endif
