"""Byte classes and scanners of RFC 3261 §25: pure C over (text, start, end), each one pass, none allocates."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr

ctypedef const unsigned char* text_t

cdef extern from *:
    r"""
    #include <string.h>
    enum { TOKEN = 1, USER = 2, HOST = 4, PARAM = 8, VALUE = 16, HNAME = 32, DISPLAY = 64, DIGIT = 128 };
    static unsigned char SIP_CLASS[256];

    #define ALPHANUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    #define UNRESERVED ALPHANUM "-_.!~*'()"
    /* "#" must be escaped in a user part, but phones dial feature codes with it as it is. */
    #define USER_BYTES UNRESERVED "&=+$,;?/#"

    static void sip_mark(const char* members, int cls) {
        for (; *members; members++) SIP_CLASS[(unsigned char)*members] |= cls;
    }

    __attribute__((constructor)) static void sip_fill_classes(void) {
        sip_mark(ALPHANUM "-.!%*_+`'~", TOKEN);
        sip_mark(USER_BYTES, USER);
        sip_mark(ALPHANUM "-._", HOST);
        sip_mark(UNRESERVED "[]/:&+$", PARAM);
        sip_mark(UNRESERVED "[]/?:+$", HNAME);
        sip_mark("0123456789", DIGIT);
        sip_mark(" \t", DISPLAY);
        for (int byte = 0x21; byte < 0x7F; byte++) {
            char member[2] = {(char)byte, 0};
            if (!strchr(";,\"<>", byte)) sip_mark(member, VALUE);
            if (!strchr(",;\"<>:\\", byte)) sip_mark(member, DISPLAY);
        }
        for (int byte = 0x80; byte < 0x100; byte++) SIP_CLASS[byte] |= USER | PARAM | VALUE | HNAME | DISPLAY;
    }
    """
    enum:
        TOKEN  # token
        USER  # user and password of a SIP URI, `%` apart
        HOST  # hostname and IPv4address
        PARAM  # name and value of a URI parameter, `%` apart
        VALUE  # generic-param value that is not quoted; wider than token, as tags and branches of old phones are
        HNAME  # hname and hvalue of a URI, `%` apart
        DISPLAY  # display name without quotes; wider than *(token LWS), but nothing that separates
        DIGIT
    unsigned char SIP_CLASS[256]


cdef inline bint is_in(unsigned char byte, int classes) noexcept nogil:
    return SIP_CLASS[byte] & classes != 0


cdef inline Py_ssize_t skip_space(text_t p, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    while i < end and (p[i] == 0x20 or p[i] == 0x09):
        i += 1
    return i


cdef inline Py_ssize_t trim_space(text_t p, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """The end of the text without the white space after it."""
    while end > start and (p[end - 1] == 0x20 or p[end - 1] == 0x09):
        end -= 1
    return end


cdef inline Py_ssize_t span(text_t p, Py_ssize_t i, Py_ssize_t end, int classes) noexcept nogil:
    while i < end and SIP_CLASS[p[i]] & classes:
        i += 1
    return i


cdef inline bint is_hex(unsigned char byte) noexcept nogil:
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66


cdef inline Py_ssize_t escaped_span(text_t p, Py_ssize_t i, Py_ssize_t end, int classes) noexcept nogil:
    """Like `span`, and "%" HEXDIG HEXDIG belongs to the text."""
    while i < end:
        if SIP_CLASS[p[i]] & classes and p[i] != 0x25:
            i += 1
        elif p[i] == 0x25 and i + 2 < end and is_hex(p[i + 1]) and is_hex(p[i + 2]):
            i += 3
        else:
            break
    return i


cdef inline Py_ssize_t find(text_t p, Py_ssize_t i, Py_ssize_t end, unsigned char byte) noexcept nogil:
    """Where `byte` is, or -1."""
    if i >= end:
        return -1
    cdef const void* found = memchr(p + i, byte, end - i)
    return -1 if found == NULL else <text_t>found - p


cdef inline Py_ssize_t quoted_end(text_t p, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    """After the quoted string that begins at `i`; -1 when it does not end."""
    i += 1
    while i < end:
        if p[i] == 0x22:
            return i + 1
        i += 2 if p[i] == 0x5C else 1
    return -1


cdef inline Py_ssize_t element_end(text_t p, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    """The next comma outside of quotes and angle brackets, or the end. What is not closed goes to the end."""
    cdef Py_ssize_t close
    while i < end and p[i] != 0x2C:
        if p[i] == 0x22:
            close = quoted_end(p, i, end)
        elif p[i] == 0x3C:
            close = find(p, i, end, 0x3E)
        else:
            close = i + 1
        if close < 0:
            return end
        i = close
    return i


cdef inline long long number(text_t p, Py_ssize_t i, Py_ssize_t end, long long highest) noexcept nogil:
    """The decimal number that the text is, nothing else; -1 when it is none or above `highest`."""
    cdef long long value = 0
    if i >= end:
        return -1
    while i < end:
        if not SIP_CLASS[p[i]] & DIGIT:
            return -1
        value = value * 10 + (p[i] - 0x30)
        if value > highest:
            return -1
        i += 1
    return value


cdef inline unsigned char lower(unsigned char byte) noexcept nogil:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


cdef inline uint32_t hash_lower(text_t p, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    """FNV-1a of the text in lower case."""
    cdef uint32_t value = 2166136261u
    while i < end:
        value = (value ^ lower(p[i])) * 16777619u
        i += 1
    return value


cdef inline bint same_lower(text_t p, Py_ssize_t i, Py_ssize_t end, const char* word, Py_ssize_t length) noexcept nogil:
    """Is the text, in lower case, this word?"""
    cdef Py_ssize_t k
    if end - i != length:
        return False
    for k in range(length):
        if lower(p[i + k]) != <unsigned char>word[k]:
            return False
    return True
