/* MD5 (RFC 1321) for digest access authentication (RFC 2617 §3.2.2): the load must not wait for Python. */
#ifndef LD_MD5_H
#define LD_MD5_H

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

enum { LD_MD5_HEX = 32 };

typedef struct {
    uint32_t state[4];
    uint64_t length;
    uint8_t block[64];
} ld_md5;

static const uint32_t ld_md5_sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const uint8_t ld_md5_turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void ld_md5_block(ld_md5 *sum) {
    uint32_t words[16], a = sum->state[0], b = sum->state[1], c = sum->state[2], d = sum->state[3];
    memcpy(words, sum->block, sizeof words);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t mixed, word;
        switch (i / 16) {
        case 0: mixed = (b & c) | (~b & d), word = i; break;
        case 1: mixed = (d & b) | (~d & c), word = (5 * i + 1) % 16; break;
        case 2: mixed = b ^ c ^ d, word = (3 * i + 5) % 16; break;
        default: mixed = c ^ (b | ~d), word = 7 * i % 16; break;
        }
        uint32_t sum_of = a + mixed + ld_md5_sines[i] + words[word], turn = ld_md5_turns[i / 16][i % 4];
        a = d, d = c, c = b, b += sum_of << turn | sum_of >> (32 - turn);
    }
    sum->state[0] += a, sum->state[1] += b, sum->state[2] += c, sum->state[3] += d;
}

static void ld_md5_open(ld_md5 *sum) {
    *sum = (ld_md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

static void ld_md5_add(ld_md5 *sum, const char *octets, size_t length) {
    for (size_t i = 0; i < length; i++) {
        sum->block[sum->length++ % 64] = (uint8_t)octets[i];
        if (sum->length % 64 == 0)
            ld_md5_block(sum);
    }
}

/* As 32 hexadecimal digits and a zero. */
static void ld_md5_hex(ld_md5 *sum, char *hex) {
    uint64_t bits = sum->length * 8;
    ld_md5_add(sum, "\x80", 1);
    while (sum->length % 64 != 56)
        ld_md5_add(sum, "", 1);
    for (int i = 0; i < 8; i++)
        ld_md5_add(sum, (char[]){(char)(bits >> (8 * i))}, 1);
    for (int i = 0; i < 16; i++) {
        uint8_t octet = (uint8_t)(sum->state[i / 4] >> (8 * (i % 4)));
        hex[2 * i] = "0123456789abcdef"[octet >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[octet & 15];
    }
    hex[LD_MD5_HEX] = 0;
}

/* Of the texts joined by colons; the list ends with NULL. */
static void ld_md5_joined(char *hex, const char *first, ...) {
    ld_md5 sum;
    va_list texts;
    ld_md5_open(&sum);
    va_start(texts, first);
    for (const char *text = first; text; text = va_arg(texts, const char *)) {
        if (text != first)
            ld_md5_add(&sum, ":", 1);
        ld_md5_add(&sum, text, strlen(text));
    }
    va_end(texts);
    ld_md5_hex(&sum, hex);
}

#endif
