/* A SIP message as it lies in memory: its first line and its headers, found and copied without a parser. */
#ifndef LD_TEXT_H
#define LD_TEXT_H

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LD_MESSAGE = 4096 };

typedef struct {
    const char *at;
    size_t length;
} ld_piece;

/* `text` ends with a zero, which is not part of the message. */
typedef struct {
    const char *text, *body;
    size_t length;
    int status;       /* of a response, else 0 */
    ld_piece method;  /* of a request; of a response that of CSeq */
    ld_piece uri;     /* of a request */
} ld_message;

/* Text that is being put together; `full` when it did not fit. */
typedef struct {
    char *at;
    size_t length, room;
    bool full;
} ld_writer;

static inline bool ld_is(ld_piece piece, const char *text) {
    return piece.length == strlen(text) && !strncasecmp(piece.at, text, piece.length);
}

static ld_piece ld_word(const char *at) {
    at += strspn(at, " \t");
    return (ld_piece){at, strcspn(at, " \t\r\n")};
}

/* The value of the first header of that name, or its compact form, behind `from`; at NULL when there is none. */
static ld_piece ld_header_after(const ld_message *message, const char *from, const char *name, char compact) {
    size_t size = strlen(name);
    for (const char *line = strstr(from, "\r\n"); line && line + 2 < message->body; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2, *value = NULL;
        if (!strncasecmp(at, name, size))
            value = at + size;
        else if (compact && tolower((unsigned char)*at) == compact)
            value = at + 1;
        if (!value)
            continue;
        value += strspn(value, " \t");
        if (*value++ != ':')
            continue;
        value += strspn(value, " \t");
        return (ld_piece){value, strcspn(value, "\r\n")};
    }
    return (ld_piece){NULL, 0};
}

static ld_piece ld_header(const ld_message *message, const char *name, char compact) {
    return ld_header_after(message, message->text, name, compact);
}

/* A parameter such as ;tag=… of a header's value. */
static ld_piece ld_parameter(ld_piece value, const char *name) {
    size_t size = strlen(name);
    for (const char *at = value.at; at && at + size < value.at + value.length; at++)
        if (at > value.at && strchr(";, \t", at[-1]) && !strncasecmp(at, name, size) && at[size] == '=') {
            const char *found = at + size + 1;
            if (*found == '"')
                return (ld_piece){found + 1, strcspn(found + 1, "\"\r\n")};
            return (ld_piece){found, strcspn(found, ";, \t\r\n>")};
        }
    return (ld_piece){NULL, 0};
}

/* The URI inside <>, or the bare one. */
static ld_piece ld_uri_of(ld_piece value) {
    const char *open = value.at ? memchr(value.at, '<', value.length) : NULL;
    if (open)
        return (ld_piece){open + 1, strcspn(open + 1, ">\r\n")};
    return (ld_piece){value.at, value.at ? strcspn(value.at, ";\r\n") : 0};
}

/* False: no SIP message. `text` must have a zero at `length`. */
static bool ld_read(ld_message *message, const char *text, size_t length) {
    const char *body = strstr(text, "\r\n\r\n");
    if (!body)
        return false;
    *message = (ld_message){.text = text, .length = length, .body = body + 4};
    if (!strncmp(text, "SIP/2.0 ", 8)) {
        message->status = atoi(text + 8);
        ld_piece cseq = ld_header(message, "CSeq", 0);
        if (!cseq.at)
            return false;
        message->method = ld_word(cseq.at + strspn(cseq.at, "0123456789"));
        return message->status >= 100;
    }
    message->method = ld_word(text);
    message->uri = ld_word(text + message->method.length);
    return message->uri.length > 4;
}

static void ld_put_piece(ld_writer *writer, const char *at, size_t length) {
    if (length >= writer->room - writer->length) {
        writer->full = true;
        return;
    }
    memcpy(writer->at + writer->length, at, length);
    writer->length += length;
    writer->at[writer->length] = 0;
}

static void ld_put(ld_writer *writer, const char *text) {
    ld_put_piece(writer, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void ld_putf(ld_writer *writer, const char *form, ...) {
    va_list values;
    va_start(values, form);
    int length = vsnprintf(writer->at + writer->length, writer->room - writer->length, form, values);
    va_end(values);
    if (length < 0 || (size_t)length >= writer->room - writer->length)
        writer->full = true;
    else
        writer->length += (size_t)length;
}

/* Each header of that name as it came, one a line. */
static void ld_put_headers(ld_writer *writer, const ld_message *message, const char *name, char compact) {
    ld_piece value = ld_header(message, name, compact);
    for (; value.at; value = ld_header_after(message, value.at, name, compact)) {
        ld_putf(writer, "%s: ", name);
        ld_put_piece(writer, value.at, value.length);
        ld_put(writer, "\r\n");
    }
}

/* A copy that ends with a zero, cut to its room. */
static void ld_copy(char *into, size_t room, ld_piece piece) {
    size_t length = piece.length < room ? piece.length : room - 1;
    if (piece.at)
        memcpy(into, piece.at, length);
    into[piece.at ? length : 0] = 0;
}

#endif
