/* What a port plays: prompts that all their listeners share, in a list that one port owns.
 *
 * A prompt is encoded once for a codec and never written again. It is held by the face and by every list it stands in;
 * who lets go last frees it, on whichever thread that is. A list belongs to the command that brings it, then to the
 * player, and is freed when it has ended. Positions are in units of 1/8000 s: an octet of G.711 or G.722; of any other codec
a prompt is a row of payloads of 20 ms, each VP_FRAME units.
 */
#ifndef VP_PLAYER_H
#define VP_PLAYER_H

#include <stdbool.h>
#include <string.h>

#include "bytes.h"

enum {
    VP_FRAME = 160,     /* 20 ms of 8 kHz */
    VP_LIST_MAX = 4096, /* prompts in a list */
};

typedef struct {
    uint32_t references; /* atomic */
    uint32_t length;     /* units, at least one */
    uint32_t octets;
    uint32_t frames;     /* payloads; 0: every octet is a unit */
    uint32_t *ends;      /* owned: of each payload, in `codes` */
    uint8_t codes[];
} vp_prompt;

typedef struct {
    uint32_t count;
    uint32_t turns; /* 0: again and again */
    vp_prompt *prompts[];
} vp_playlist;

/* Why playing ended; the names for Python are in media/events.py, in this order. */
typedef enum { VP_PLAYED_NOT_YET, VP_PLAYED_FINISHED, VP_PLAYED_STOPPED, VP_PLAYED_DIGIT, VP_PLAYED_REPLACED } vp_played;

typedef struct {
    vp_playlist *list; /* owned; NULL: nothing is played */
    uint32_t id;
    uint32_t index, offset, turn; /* the next unit: prompt of the list, unit of the prompt, turns done */
    uint32_t samples;             /* played until now */
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t stop_digits; /* bit set of the events that end it */
    uint8_t payload_type;
    uint8_t silence; /* the codec's code for it */
    uint8_t ending;  /* vp_played: over, and the event is to be posted */
    bool over;       /* the last unit was sent */
} vp_player;

/* With one reference, the caller's; NULL when memory is short. With `frames`, vp_prompt_set_frame is called for each, in
 * order, before it is played. */
static inline vp_prompt *vp_prompt_new(const uint8_t *codes, uint32_t octets, uint32_t frames) {
    vp_prompt *prompt = calloc(1, sizeof *prompt + octets);
    if (!prompt)
        return NULL;
    prompt->ends = frames ? calloc(frames, sizeof *prompt->ends) : NULL;
    if (frames && !prompt->ends) {
        free(prompt);
        return NULL;
    }
    prompt->references = 1;
    prompt->octets = octets;
    prompt->frames = frames;
    prompt->length = frames ? frames * VP_FRAME : octets;
    memcpy(prompt->codes, codes, octets);
    return prompt;
}

static inline void vp_prompt_set_frame(vp_prompt *prompt, uint32_t frame, uint32_t length) {
    prompt->ends[frame] = (frame ? prompt->ends[frame - 1] : 0) + length;
}

static inline void vp_prompt_release(vp_prompt *prompt) {
    if (!prompt || __atomic_sub_fetch(&prompt->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    free(prompt->ends);
    free(prompt);
}

/* Without prompts yet. */
static inline vp_playlist *vp_playlist_new(uint32_t count, uint32_t turns) {
    vp_playlist *list = calloc(1, sizeof *list + count * sizeof(vp_prompt *));
    if (list) {
        list->count = count;
        list->turns = turns;
    }
    return list;
}

static inline void vp_playlist_set(vp_playlist *list, uint32_t index, vp_prompt *prompt) {
    __atomic_add_fetch(&prompt->references, 1, __ATOMIC_RELAXED);
    list->prompts[index] = prompt;
}

static inline void vp_playlist_free(vp_playlist *list) {
    for (uint32_t i = 0; list && i < list->count; i++)
        vp_prompt_release(list->prompts[i]);
    free(list);
}

/* Go on by `octets`, at most to the end of the current prompt. */
static inline void vp_player_advance(vp_player *player, uint32_t octets) {
    player->offset += octets;
    if (player->offset < player->list->prompts[player->index]->length)
        return;
    player->offset = 0;
    if (++player->index < player->list->count)
        return;
    player->index = 0;
    player->turn++;
    player->over = player->list->turns && player->turn >= player->list->turns;
}

/* What may be taken at once from where the player stands. */
static inline uint32_t vp_player_take(const vp_player *player, uint32_t wanted) {
    uint32_t left = player->list->prompts[player->index]->length - player->offset;
    return left < wanted ? left : wanted;
}

/* Start `octets` into the list; beyond its end it is over. */
static inline void vp_player_seek(vp_player *player, uint32_t octets) {
    while (octets && !player->over) {
        uint32_t taken = vp_player_take(player, octets);
        vp_player_advance(player, taken);
        octets -= taken;
    }
}

/* A whole payload; where a seek has left the player within one, it is that one. */
static inline uint32_t vp_player_payload(vp_player *player, const vp_prompt *prompt, uint8_t *codes) {
    uint32_t frame = player->offset / VP_FRAME, start = frame ? prompt->ends[frame - 1] : 0;
    uint32_t octets = prompt->ends[frame] - start;
    memcpy(codes, prompt->codes + start, octets);
    vp_player_advance(player, VP_FRAME - player->offset % VP_FRAME);
    player->samples += VP_FRAME;
    return octets;
}

/* Writes the payload of the next 20 ms, the end filled up with silence; how many octets it has, 0 when it is over. A list
 * is of one codec. */
static inline uint32_t vp_player_frame(vp_player *player, uint8_t *codes) {
    uint32_t filled = 0;
    const vp_prompt *first = player->list->prompts[player->index];
    if (!player->over && first->frames)
        return vp_player_payload(player, first, codes);
    while (filled < VP_FRAME && !player->over && !player->list->prompts[player->index]->frames) {
        uint32_t taken = vp_player_take(player, VP_FRAME - filled);
        memcpy(codes + filled, player->list->prompts[player->index]->codes + player->offset, taken);
        vp_player_advance(player, taken);
        filled += taken;
    }
    memset(codes + filled, player->silence, VP_FRAME - filled);
    player->samples += filled;
    return filled ? VP_FRAME : 0;
}

#endif
