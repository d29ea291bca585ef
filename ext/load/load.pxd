# Foreign declarations of the load generator; no code. Everything here runs without the GIL.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "streams.h" nogil:
    enum:
        LD_NAME
        LD_PLANS
        LD_PROFILES
        LD_TARGETS
        LD_STATUSES
        LD_BUCKETS
        LD_BODY
        LD_KEY
        LD_SUITE
        LD_MD5_HEX
        LD_UDP
        LD_TCP
        LD_FED
        LD_STREAM
        LD_PACKET
        LD_RTP
        LD_UNANSWERED
    ctypedef enum ld_kind:
        LD_REGISTRATION
        LD_CALL
        LD_OPTIONS
    ctypedef enum ld_state:
        LD_UP
    uint64_t LD_FOREVER
    ctypedef struct ld_histogram:
        uint64_t count, sum_us, max_us
        uint64_t *buckets
    uint64_t ld_bucket_top(uint32_t bucket)
    uint32_t ld_bucket(uint64_t us)
    void ld_histogram_add(ld_histogram *histogram, uint64_t ns)
    ctypedef struct ld_flow:
        char *host
        int fd
        char *incoming "in"
        char *out
        size_t in_length, out_length
        bint closed
    bint ld_flow_open(ld_flow *flow, int fd, int kind, const char *host)
    ctypedef struct ld_account:
        char *user
        char *ha1
        uint32_t flow
    ctypedef struct ld_counts:
        uint64_t ok, failed, timed_out, hung_up, retransmitted, challenged, unsent
        uint64_t *statuses
        ld_histogram late, setup, teardown
    ctypedef struct ld_description:
        char *head
        char *tail
        char *suite
        char *key
    ctypedef struct ld_plan:
        ld_kind kind
        bint is_poisson, keeps_nonce
        double rate
        uint64_t count, launched, next, hold, up, dice
        uint32_t accounts_from, accounts, targets
        uint16_t media_from
        char **target
        char *contact
        ld_description offer
        ld_counts counts
    ctypedef struct ld_media:
        char *host
        char *key
        uint16_t local_port, port
        uint8_t payload_type
    ctypedef struct ld_unit:
        uint8_t plan, state
        ld_media media
    ctypedef struct ld_answer:
        uint8_t state, profile
        ld_media media
    ctypedef struct ld_profile:
        ld_description said
        bint rings
    ctypedef struct ld_agent:
        char *domain
        char *run
        ld_flow *flows
        ld_account *accounts
        ld_unit *units
        ld_answer *answers
        uint32_t flow_count, account_count, room, fresh_unit, fresh_answer, plan_count
        uint16_t answer_media_from
        ld_plan *plans
        ld_profile *profiles
        uint64_t patience, messages_in, messages_out, not_sent, unexpected, asked, answer_repeats
        int epoll
    bint ld_agent_open(ld_agent *agent, uint32_t flows, uint32_t accounts, uint32_t room)
    void ld_agent_close(ld_agent *agent)
    void ld_run(ld_agent *agent, uint64_t until)
    void ld_take_stream(ld_agent *agent, uint32_t flow, uint64_t now)
    void ld_hang_up_all(ld_agent *agent, uint32_t plan, double rate, uint64_t now)
    uint64_t ld_now()
    uint64_t ld_thread_ns()
    uint64_t ld_socket_drops(int fd)

    ctypedef int (*ld_crypt)(void *session, void *packet, int *length)
    ctypedef struct ld_audio:
        const uint8_t *octets
        const uint32_t *ends
        uint32_t count, step
        bint is_stamped
    ctypedef struct ld_stream:
        int fd
        uint8_t payload_type
        const ld_audio *audio
        void *seal
        void *open
        uint32_t ssrc, next, timestamp
        uint16_t sequence
        double jitter
        uint64_t received, missing, late
    ctypedef struct ld_choir:
        ld_stream *streams
        uint32_t count
        ld_crypt protect
        ld_crypt unprotect
        uint64_t sent, received, stamped, unsent, unopened, sender_ns, receiver_ns
        ld_histogram lateness, delay, gap
        int stopping
    void ld_choir_send(ld_choir *choir)
    void ld_choir_receive(ld_choir *choir)


cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLL_CTL_ADD
        EPOLLIN
    ctypedef union epoll_data:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data data
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
