/* Digits that a port sends as telephone-events (RFC 4733 §2.5.1): a packet each 20 ms, the last one three times.
 *
 *   tick      1      2   …   on      on+1   on+2          on+off
 *   duration  160    320     160·on  same   same   pause  next key
 *             marker         end     end    end
 */
#ifndef VP_KEYPAD_H
#define VP_KEYPAD_H

#include <stdbool.h>

#include "bytes.h"

enum {
    VP_KEYS_MAX = 32,
    VP_KEY_ENDS = 3,
    VP_KEY_OFF_MIN = VP_KEY_ENDS, /* ticks: the ends of one key must be out before the next begins */
    VP_KEY_ON_MAX = 400,          /* ticks: the 16 bits of the duration hold 8 s */
    VP_KEY_VOLUME = 10,           /* -10 dBm0 */
    VP_EVENT_OCTETS = 4,
};

typedef struct {
    uint32_t id;   /* 0: keys that are passed on, of which nobody waits for the end */
    uint32_t runs; /* of such keys */
    uint16_t on, off; /* ticks of a key and of the pause after it */
    uint16_t tick;    /* of the current key, 0 before its first packet */
    uint16_t sequence;
    uint8_t count, at; /* keys, and which of them is pressed; count 0: none are sent */
    uint8_t payload_type;
    uint8_t keys[VP_KEYS_MAX]; /* event codes */
} vp_keypad;

/* One more key, of 100 ms; lost when there are too many already, which no finger does. */
static inline void vp_keypad_add(vp_keypad *keypad, uint8_t key, uint8_t payload_type) {
    if (keypad->at >= keypad->count)
        *keypad = (vp_keypad){.runs = keypad->runs + 1, .on = 5, .off = VP_KEY_OFF_MIN, .payload_type = payload_type,
                              .sequence = keypad->sequence};
    if (keypad->count < VP_KEYS_MAX)
        keypad->keys[keypad->count++] = key;
}

/* A number for the key that is pressed: another one than that of the key before, whether of this run or of another. */
static inline uint32_t vp_keypad_epoch(const vp_keypad *keypad) {
    uint32_t run = keypad->id ? keypad->id : 1u << 25 | keypad->runs;
    return run << 6 | keypad->at;
}

static inline bool vp_keypad_done(const vp_keypad *keypad) { return keypad->at >= keypad->count; }

/* One tick further: true when a packet is due, whose payload is written. */
static inline bool vp_keypad_tick(vp_keypad *keypad, uint8_t payload[VP_EVENT_OCTETS], uint32_t units) {
    if (keypad->tick >= keypad->on + keypad->off) {
        keypad->tick = 0;
        keypad->at++;
    }
    if (vp_keypad_done(keypad))
        return false;
    uint16_t tick = ++keypad->tick;
    bool ends = tick >= keypad->on;
    payload[0] = keypad->keys[keypad->at];
    payload[1] = (uint8_t)(VP_KEY_VOLUME | (ends ? 0x80 : 0));
    uint32_t duration = (ends ? keypad->on : tick) * units;
    vp_put16(payload + 2, (uint16_t)(duration < 0xffff ? duration : 0xffff));
    return tick < keypad->on + VP_KEY_ENDS;
}

#endif
