/* BLAKE2s with a key (RFC 7693), for what we sign to ourselves: nonces and To tags. The output is at most 32 octets. */
#ifndef SIP_BLAKE2S_H
#define SIP_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SIP_BLAKE2S_BLOCK = 64, SIP_BLAKE2S_KEY = 32 };

typedef struct {
    uint32_t state[8];
    uint64_t length;
    size_t held, size;
    uint8_t block[SIP_BLAKE2S_BLOCK];
} sip_blake2s;

static const uint32_t sip_blake2s_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const uint8_t sip_blake2s_order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static inline uint32_t sip_turned(uint32_t word, int by) {
    return word >> by | word << (32 - by);
}

static inline void sip_blake2s_mix(uint32_t *v, int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x, v[d] = sip_turned(v[d] ^ v[a], 16), v[c] += v[d], v[b] = sip_turned(v[b] ^ v[c], 12);
    v[a] += v[b] + y, v[d] = sip_turned(v[d] ^ v[a], 8), v[c] += v[d], v[b] = sip_turned(v[b] ^ v[c], 7);
}

static void sip_blake2s_compress(sip_blake2s *sum, int is_last) {
    uint32_t v[16], m[16];
    for (int i = 0; i < 16; i++) {
        const uint8_t *at = sum->block + 4 * i;
        m[i] = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
    memcpy(v, sum->state, sizeof sum->state);
    memcpy(v + 8, sip_blake2s_start, sizeof sip_blake2s_start);
    v[12] ^= (uint32_t)sum->length, v[13] ^= (uint32_t)(sum->length >> 32);
    if (is_last)
        v[14] = ~v[14];
    for (int round = 0; round < 10; round++) {
        const uint8_t *s = sip_blake2s_order[round];
        for (int i = 0; i < 4; i++)
            sip_blake2s_mix(v, i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            sip_blake2s_mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++)
        sum->state[i] ^= v[i] ^ v[8 + i];
}

static void sip_blake2s_add(sip_blake2s *sum, const void *octets, size_t length) {
    const uint8_t *from = octets;
    while (length) {
        if (sum->held == SIP_BLAKE2S_BLOCK) { /* the last block is told apart, so a full one waits for the next octet */
            sum->length += SIP_BLAKE2S_BLOCK, sum->held = 0;
            sip_blake2s_compress(sum, 0);
        }
        size_t taken = SIP_BLAKE2S_BLOCK - sum->held < length ? SIP_BLAKE2S_BLOCK - sum->held : length;
        memcpy(sum->block + sum->held, from, taken);
        sum->held += taken, from += taken, length -= taken;
    }
}

static void sip_blake2s_open(sip_blake2s *sum, const uint8_t *key, size_t size) {
    uint8_t padded[SIP_BLAKE2S_BLOCK] = {0};
    *sum = (sip_blake2s){.size = size};
    memcpy(sum->state, sip_blake2s_start, sizeof sip_blake2s_start);
    sum->state[0] ^= 0x01010000u ^ (uint32_t)SIP_BLAKE2S_KEY << 8 ^ (uint32_t)size;
    memcpy(padded, key, SIP_BLAKE2S_KEY);
    sip_blake2s_add(sum, padded, sizeof padded);
}

/* As 2 * size hexadecimal digits, without a zero. */
static void sip_blake2s_hex(sip_blake2s *sum, char *hex) {
    sum->length += sum->held;
    memset(sum->block + sum->held, 0, SIP_BLAKE2S_BLOCK - sum->held);
    sip_blake2s_compress(sum, 1);
    for (size_t i = 0; i < sum->size; i++) {
        uint8_t octet = (uint8_t)(sum->state[i / 4] >> (8 * (i % 4)));
        hex[2 * i] = "0123456789abcdef"[octet >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[octet & 15];
    }
}

#endif
