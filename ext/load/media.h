/* What a phone says of its media in SDP, and what it is told. */
#ifndef LD_MEDIA_H
#define LD_MEDIA_H

#include "text.h"

enum { LD_BODY = 1024, LD_KEY = 96, LD_SUITE = 32 };

/* A description with room for its port between `head` and `tail`; with a `suite` it has a line of SDES keys. */
typedef struct {
    char head[LD_BODY], tail[LD_BODY], suite[LD_SUITE], key[LD_KEY];
} ld_description;

/* The other side, as its description has it. */
typedef struct {
    char host[48], key[LD_KEY];
    uint16_t local_port, port;
    uint8_t payload_type;
} ld_media;

/* The value behind `mark` at the beginning of a line. */
static const char *ld_sdp_line(const ld_message *message, const char *mark) {
    size_t size = strlen(mark);
    for (const char *line = message->body; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, mark, size))
            return line + size;
    return NULL;
}

/* The a=crypto line of that suite: its tag, and its key into `key`; 0 when there is none. */
static int ld_sdp_key(const ld_message *message, const char *suite, char *key) {
    const char *line = message->body;
    while ((line = strstr(line, "a=crypto:")) != NULL) {
        int tag = atoi(line + 9);
        const char *name = strchr(line, ' '), *begin = strstr(line, "inline:");
        if (name && begin && !strncmp(name + 1, suite, strlen(suite)) && name[1 + strlen(suite)] == ' ') {
            ld_copy(key, LD_KEY, (ld_piece){begin + 7, strcspn(begin + 7, "| \r\n")});
            return tag;
        }
        line += 9;
    }
    return 0;
}

/* False: no audio was agreed on. */
static bool ld_media_read(ld_media *media, const ld_message *message, const char *suite) {
    const char *audio = ld_sdp_line(message, "m=audio "), *address = ld_sdp_line(message, "c=IN IP");
    if (!audio || !address)
        return false;
    media->port = (uint16_t)atoi(audio);
    ld_copy(media->host, sizeof media->host, ld_word(address + 2));
    const char *type = strchr(audio, ' ');
    type = type ? strchr(type + 1, ' ') : NULL;
    media->payload_type = type ? (uint8_t)atoi(type + 1) : 0;
    media->key[0] = 0;
    return media->port && (!*suite || ld_sdp_key(message, suite, media->key));
}

/* Header lines of the body and the body. */
static void ld_put_description(ld_writer *writer, const ld_description *said, uint16_t port, int tag) {
    char text[2 * LD_BODY + LD_KEY + 64];
    ld_writer body = {text, 0, sizeof text, false};
    ld_putf(&body, "%s%u%s", said->head, port, said->tail);
    if (*said->suite)
        ld_putf(&body, "a=crypto:%d %s inline:%s\r\n", tag, said->suite, said->key);
    ld_putf(writer, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n", body.length);
    ld_put_piece(writer, text, body.length);
}

#endif
