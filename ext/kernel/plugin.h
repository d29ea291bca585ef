/* A codec whose library the machine may have: what voipat needs of it, and nothing else. None of the library's headers is
 * used and none of it linked; media/plugins.py finds it at run time and passes the addresses of its functions.
 *
 * Another codec is a header that fills a vp_plugin (g729.h), its kind in codec.h, its row in media/plugins.py and its
 * Codec (name, clock, payload type, sample rate, fmtp) in media/codecs.py. docs/decisions/0014-codecs-as-plug-ins.md.
 */
#ifndef VP_PLUGIN_H
#define VP_PLUGIN_H

#include <stdint.h>

enum { VP_PLUGIN_FUNCTIONS = 8 };

/* The functions are given the plug-in itself, for the addresses in it; they run in a worker and may not wait. States are
 * used by one thread at a time. */
typedef struct vp_plugin vp_plugin;
struct vp_plugin {
    uint32_t frame;        /* samples of the piece that is encoded and decoded at once: a packet has one or more of them */
    uint32_t frame_octets; /* the most that one is encoded to */
    void *(*encoder_new)(const vp_plugin *plugin); /* NULL: memory is short */
    void (*encoder_free)(const vp_plugin *plugin, void *encoder);
    /* One frame; its octets, or -1. */
    int (*encode)(const vp_plugin *plugin, void *encoder, const int16_t *samples, uint8_t *octets);
    void *(*decoder_new)(const vp_plugin *plugin);
    void (*decoder_free)(const vp_plugin *plugin, void *decoder);
    /* One frame from the beginning of what a packet still has; how many octets it took, or -1 when that is no frame. */
    int (*decode)(const vp_plugin *plugin, void *decoder, const uint8_t *octets, uint32_t length, int16_t *samples);
    /* One frame in place of a lost one. */
    void (*conceal)(const vp_plugin *plugin, void *decoder, int16_t *samples);
    void *functions[VP_PLUGIN_FUNCTIONS]; /* of the library, in the order of media/plugins.py */
};

/* The samples of a payload, at most `most`; -1 when it is none of this codec. */
static inline int vp_plugin_decode(
    const vp_plugin *plugin, void *decoder, const uint8_t *payload, uint32_t length, int16_t *samples, uint32_t most
) {
    uint32_t made = 0;
    while (length) {
        if (made + plugin->frame > most)
            return -1;
        int taken = plugin->decode(plugin, decoder, payload, length, samples + made);
        if (taken <= 0 || (uint32_t)taken > length)
            return -1;
        payload += taken;
        length -= (uint32_t)taken;
        made += plugin->frame;
    }
    return made ? (int)made : -1;
}

/* The octets of `count` samples, at most `most`; -1 when these are no whole frames. */
static inline int vp_plugin_encode(
    const vp_plugin *plugin, void *encoder, const int16_t *samples, uint32_t count, uint8_t *payload, uint32_t most
) {
    uint32_t made = 0;
    if (count % plugin->frame || count / plugin->frame * plugin->frame_octets > most)
        return -1;
    for (uint32_t at = 0; at < count; at += plugin->frame) {
        int length = plugin->encode(plugin, encoder, samples + at, payload + made);
        if (length < 0)
            return -1;
        made += (uint32_t)length;
    }
    return (int)made;
}

/* `count` samples in place of a lost packet's; -1 when these are no whole frames. */
static inline int vp_plugin_conceal(const vp_plugin *plugin, void *decoder, int16_t *samples, uint32_t count) {
    if (count % plugin->frame)
        return -1;
    for (uint32_t at = 0; at < count; at += plugin->frame)
        plugin->conceal(plugin, decoder, samples + at);
    return (int)count;
}

#endif
