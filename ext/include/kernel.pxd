# Foreign declarations of ext/kernel; no code. Everything here runs without the GIL.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from posix.types cimport clockid_t


cdef extern from "address.h" nogil:
    enum: INET6_ADDRSTRLEN
    ctypedef union vp_address:
        uint16_t family
    int vp_address_parse(vp_address *address, const char *host, uint16_t port)
    const char *vp_address_host(const vp_address *address, char *text)
    uint16_t vp_address_port(const vp_address *address)
    bint vp_address_usable(const vp_address *address)


cdef extern from "bytes.h" nogil:
    uint32_t VP_READ(uint32_t field)


cdef extern from "rtp.h" nogil:
    enum: VP_MAX_PACKET


cdef extern from "srtp.h" nogil:
    enum:
        VP_SRTP_SLACK
        VP_CRYPTO_OFF
        VP_CRYPTO_AWAITED
        VP_CRYPTO_ON
    ctypedef struct vp_srtp_library:
        int (*protect)(void *session, void *packet, int *length)
        int (*unprotect)(void *session, void *packet, int *length)
        int (*protect_rtcp)(void *session, void *packet, int *length)
        int (*unprotect_rtcp)(void *session, void *packet, int *length)
        int (*get_roc)(void *session, uint32_t ssrc, uint32_t *roc)
        int (*set_roc)(void *session, uint32_t ssrc, uint32_t roc)
        int (*update)(void *session, const void *policy)
    ctypedef struct vp_srtp:
        uint32_t version
    const uint8_t *vp_srtp_seal(
        const vp_srtp *srtp, uint8_t *sealed, const uint8_t *packet, size_t *length, bint rtcp)


cdef extern from "stream.h" nogil:
    ctypedef struct vp_stream:
        uint32_t jitter
        uint32_t ssrc


cdef extern from "latch.h" nogil:
    ctypedef struct vp_latch:
        pass
    const vp_address *vp_latch_destination(const vp_latch *latch)


cdef extern from "rtcp.h" nogil:
    enum: VP_RTCP_MAX
    ctypedef struct vp_rtcp:
        uint32_t remote_jitter
        uint32_t remote_reports
        uint32_t rtt
        uint32_t remote_lost  # int32_t; read with VP_READ and cast
        uint8_t remote_fraction


cdef extern from "player.h" nogil:
    enum: VP_LIST_MAX
    ctypedef struct vp_prompt:
        uint32_t octets
        uint32_t length
    ctypedef struct vp_playlist:
        pass
    vp_prompt *vp_prompt_new(const uint8_t *codes, uint32_t octets, uint32_t frames)
    void vp_prompt_set_frame(vp_prompt *prompt, uint32_t frame, uint32_t length)
    void vp_prompt_release(vp_prompt *prompt)
    vp_playlist *vp_playlist_new(uint32_t count, uint32_t turns)
    void vp_playlist_set(vp_playlist *list, uint32_t index, vp_prompt *prompt)
    void vp_playlist_free(vp_playlist *list)


cdef extern from "opus.h" nogil:
    ctypedef struct vp_opus:
        pass
    ctypedef struct vp_opus_settings:
        uint32_t bitrate
        uint8_t complexity
        uint8_t loss_percent
        bint fec
        bint dtx
        bint music
        bint cbr
        uint32_t bitrate_max
        uint32_t playback_rate


cdef extern from "plugin.h" nogil:
    enum: VP_PLUGIN_FUNCTIONS
    ctypedef struct vp_plugin:
        void *functions[VP_PLUGIN_FUNCTIONS]


cdef extern from "codec.h" nogil:
    enum:
        VP_CODECS
        VP_CODEC_OPUS
        VP_CODEC_PLUGINS
        VP_PLUGINS
        VP_PAYLOAD_MAX
    ctypedef struct vp_format:
        uint8_t kind
        uint8_t payload_type
        uint16_t ptime_ms
        uint32_t clock_rate
        uint32_t rate
        const vp_opus *opus
        const vp_plugin *plugin
        vp_opus_settings settings
    const vp_plugin *vp_plugin_of(int kind)


cdef extern from "intake.h" nogil:
    enum: VP_FORMATS
    ctypedef struct vp_intake_counters:
        uint32_t decoded
        uint32_t late
        uint32_t duplicate
        uint32_t overflow
        uint32_t garbage
        uint32_t concealed
        uint32_t recovered
        uint32_t starved
        uint32_t stretched
        uint32_t delay_ms
        uint32_t target_ms


cdef extern from "mixer.h" nogil:
    enum:
        VP_GAIN_ONE
        VP_GAIN_MAX
        VP_NARROW_RATE
        VP_ASIDES
    ctypedef struct vp_mixer:
        uint32_t rate
    ctypedef struct vp_notice:
        pass
    vp_mixer *vp_mixer_new(uint32_t rate, bint open)
    void vp_mixer_hold(vp_mixer *mixer)
    void vp_mixer_release(vp_mixer *mixer)
    vp_notice *vp_notice_new(const int16_t *samples, uint32_t count)
    void vp_notice_release(vp_notice *notice)


cdef extern from "audio.h" nogil:
    enum:
        VP_HEARD
        VP_SAID
    ctypedef struct vp_audio:
        pass
    ctypedef struct vp_sink:
        void (*release)(vp_sink *sink) noexcept nogil
    ctypedef struct vp_source:
        void (*release)(vp_source *source) noexcept nogil
    ctypedef struct vp_audio_counters:
        vp_intake_counters heard
        vp_intake_counters said
        uint32_t encoded
    ctypedef struct vp_audio_plan:
        uint32_t rate
        const vp_format *receive
        const vp_format *told
        const vp_format *send
        uint32_t receive_count
        uint32_t told_count
        bint encodes
        int16_t noise
    vp_audio *vp_audio_new(const vp_audio_plan *plan)
    void vp_audio_free(vp_audio *audio)


cdef extern from "keytone.h" nogil:
    vp_sink *vp_keytone_new(uint32_t id)


cdef extern from "keypad.h" nogil:
    enum:
        VP_KEYS_MAX
        VP_KEY_OFF_MIN
        VP_KEY_ON_MAX
    ctypedef struct vp_keypad:
        uint32_t id
        uint16_t on
        uint16_t off
        uint8_t count
        uint8_t payload_type
        uint8_t *keys


cdef extern from "ring.h" nogil:
    ctypedef struct vp_ring:
        pass
    bint vp_ring_pop(vp_ring *ring, void *record)
    bint vp_ring_empty(const vp_ring *ring)


cdef extern from "port.h" nogil:
    enum:
        VP_CARRIES_RTP
        VP_CARRIES_DATAGRAMS
        VP_DROP_REASONS
        VP_EVENT_TIMEOUT
        VP_EVENT_LATCHED
        VP_EVENT_DIGIT
        VP_EVENT_PLAYED
        VP_EVENT_KEYED
        VP_EVENT_SPEAKING
        VP_FLIGHT_MAX
        VP_DROP_SRTP_SEND
    ctypedef struct vp_flight:
        uint64_t port
        vp_address source
        uint16_t length
        uint8_t *data
    void vp_count_drop(vp_port *port, int reason)
    ctypedef struct vp_event:
        uint64_t port
        uint32_t kind
        uint32_t value
        uint32_t duration
        uint32_t detail
        vp_address address
    ctypedef struct vp_counters:
        uint64_t packets_in
        uint64_t octets_in
        uint64_t packets_out
        uint64_t octets_out
        uint64_t rtcp_in
        uint64_t rtcp_out
        uint64_t lost  # int64_t; read with vp_read64 and cast
        uint32_t digits
        uint32_t *dropped
    ctypedef struct vp_port:
        uint64_t id
        uint32_t clock_rate
        bint rtcp_mux
        uint8_t carries
        vp_latch latch
        vp_stream stream
        vp_rtcp rtcp
        vp_srtp srtp
        vp_counters counters
        vp_audio_counters audio_counters
    ctypedef struct vp_context:
        uint64_t now
        uint64_t wallclock
    bint vp_read_source(const vp_port *port, vp_address *source)


cdef extern from "receive.h" nogil:
    vp_port *vp_port_receive(
        vp_port *port, vp_context *context, uint8_t *packet, size_t *size, const vp_address *source)
    void vp_port_receive_rtcp(
        vp_port *port, vp_context *context, uint8_t *packet, size_t length, const vp_address *source)


cdef extern from "report.h" nogil:
    size_t vp_port_due_report(vp_port *port, const vp_context *context, uint8_t *packet, vp_address *destination)
    size_t vp_port_last_report(vp_port *port, const vp_context *context, uint8_t *packet, vp_address *destination)
    void vp_port_sweep(vp_port *port, vp_context *context)


cdef extern from "produce.h" nogil:
    enum:
        VP_PRODUCED
    bint vp_port_produces(const vp_port *port)
    size_t vp_port_produce(vp_port *port, vp_context *context, uint8_t *packet)
    size_t vp_port_produce_audio(vp_port *port, const vp_context *context, uint8_t *packet)
    bint vp_port_owes_audio(const vp_port *port)
    bint vp_port_is_opened(const vp_port *port, uint64_t id)
    void vp_port_fall_silent(vp_port *port)


cdef extern from "command.h" nogil:
    enum:
        VP_COMMAND_OPEN
        VP_COMMAND_REMOTE
        VP_COMMAND_ROUTE
        VP_COMMAND_UNROUTE
        VP_COMMAND_ECHO
        VP_COMMAND_HOLD
        VP_COMMAND_MUTE
        VP_COMMAND_CARRY
        VP_COMMAND_PLAY
        VP_COMMAND_STOP_PLAY
        VP_COMMAND_KEYS
        VP_COMMAND_CRYPTO
        VP_COMMAND_FLIGHT
        VP_COMMAND_AUDIO
        VP_COMMAND_SINK
        VP_COMMAND_UNSINK
        VP_COMMAND_SOURCE
        VP_COMMAND_UNSOURCE
        VP_COMMAND_MIX
        VP_COMMAND_ANNOUNCE
        VP_COMMAND_CLOSE
        VP_COMMAND_MOVE
        VP_COMMAND_ADOPT
        VP_COMMAND_STOP
    ctypedef struct vp_open:
        uint64_t id
        int rtp_fd
        int rtcp_fd
        uint32_t ssrc
        uint32_t timestamp
        uint16_t sequence
    ctypedef struct vp_remote:
        vp_address sdp
        vp_address rtcp
        vp_address signalling
        uint64_t window
        uint32_t clock_rate
        int16_t telephone_event
        uint32_t event_rate
        bint rtcp_mux
        uint8_t *accepted
    ctypedef struct vp_play:
        vp_playlist *list
        uint32_t id
        uint32_t start
        uint16_t stop_digits
        uint8_t payload_type
        uint8_t silence
    ctypedef struct vp_crypto:
        const vp_srtp_library *library
        void *send
        void *receive
        const void *policy
        vp_address source
        uint32_t version
        uint32_t ssrc
        uint8_t state
        uint8_t mki_length
        uint8_t mki_tail
        uint8_t mki_rtcp_tail
        bint dtls
        bint continues
    ctypedef struct vp_flight_out:
        uint8_t *data
        vp_address to
        uint16_t length
    ctypedef struct vp_route:
        uint8_t *map
        uint8_t translated
        uint8_t translation
    ctypedef struct vp_mix:
        vp_mixer *mixer
        int32_t gain
        bint muted
        bint told
        uint8_t aside
        uint8_t confided
    ctypedef struct vp_command:
        uint8_t kind
        bint enabled
        uint32_t slot
        uint32_t other
        vp_open open
        vp_remote remote
        vp_play play
        vp_keypad keys
        vp_crypto crypto
        vp_flight_out flight
        vp_audio *audio
        vp_sink *sink
        vp_source *source
        uint32_t attachment
        uint32_t carries
        vp_route route
        vp_mix mix
        vp_notice *notice


cdef extern from "carry.h" nogil:
    vp_port *vp_carry_receive(
        vp_port *port, vp_context *context, uint8_t *packet, size_t *size, const vp_address *source, int *rtcp,
        vp_address *to)


cdef extern from "socket.h" nogil:
    int vp_socket_open(const vp_address *local, int dscp)


cdef extern from "worker.h" nogil:
    enum:
        VP_TICK_BUCKETS
    const uint32_t vp_tick_late_us[8]
    ctypedef struct vp_worker:
        uint32_t *owned
        uint32_t owned_count
        uint32_t *producing
        uint32_t producing_count
        uint32_t tick
        clockid_t cpu_clock
        uint32_t running
        uint64_t events_lost
        uint64_t late_ticks
        uint64_t lateness[9]
        vp_ring events
        vp_ring flights
        vp_context context
    int vp_worker_init(
        vp_worker *worker, uint32_t index, vp_port *ports, uint32_t capacity, bint manual, uint64_t media_timeout,
        int event_fd, uint32_t *armed, uint32_t events)
    void vp_worker_free(vp_worker *worker)
    void vp_worker_run(vp_worker *worker)
    void vp_port_reserve(vp_port *port, uint32_t worker)
    bint vp_port_is_free(const vp_port *port)
    bint vp_worker_command(vp_worker *worker, const vp_command *command)
    uint32_t vp_worker_ticks_passed(vp_worker *worker)
    void vp_worker_listen(vp_worker *worker)
    void vp_worker_settle(vp_worker *worker, vp_port *port)
    uint64_t VP_TICK
    uint64_t vp_clock(clockid_t clock)


cdef extern from * nogil:
    """
    #define vp_read64(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
    #define vp_arm(armed) __atomic_exchange_n((armed), 1, __ATOMIC_SEQ_CST)
    #define vp_applied(port) __atomic_load_n(&(port)->srtp.version, __ATOMIC_ACQUIRE)
    #define vp_is_running(worker) __atomic_load_n(&(worker)->running, __ATOMIC_ACQUIRE)
    """
    uint64_t vp_read64(uint64_t field)
    uint32_t vp_arm(uint32_t *armed)
    uint32_t vp_applied(const vp_port *port)
    bint vp_is_running(const vp_worker *worker)
