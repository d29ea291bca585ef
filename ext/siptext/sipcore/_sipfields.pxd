"""The shapes that the tokenizer shares with the fields."""

from libc.stdint cimport uint32_t

from scan cimport text_t


cdef extern from *:
    r"""
    /* The character of UTF-8 at `p` (RFC 3629 §4) and how many bytes it has; 0 when there is none. */
    static int sip_character(const unsigned char *p, Py_ssize_t left, Py_UCS4 *out) {
        const int first = p[0], length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (first < 0x80) { *out = first; return 1; }
        if (first < 0xC2 || first > 0xF4 || left < length) return 0;
        const int low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        const int high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        if (p[1] < low || p[1] > high) return 0;
        Py_UCS4 character = first & (0x7F >> length);
        for (int i = 1; i < length; i++) {
            if ((p[i] & 0xC0) != 0x80) return 0;
            character = character << 6 | (p[i] & 0x3F);
        }
        *out = character;
        return length;
    }

    /* As decode("utf-8", "surrogateescape"), which takes a millisecond for 64 kB of bytes that are not UTF-8. */
    static PyObject *sip_text(const char *text, Py_ssize_t length) {
        PyObject *made = PyUnicode_DecodeUTF8(text, length, NULL);
        if (made || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return made;
        PyErr_Clear();
        Py_UCS4 *out = PyMem_New(Py_UCS4, length);
        if (!out) return PyErr_NoMemory();
        const unsigned char *p = (const unsigned char *)text;
        Py_ssize_t at = 0, count = 0;
        while (at < length) {
            const int step = sip_character(p + at, length - at, &out[count]);
            if (!step) out[count] = 0xDC00 + p[at];
            at += step ? step : 1;
            count++;
        }
        made = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, out, count);
        PyMem_Free(out);
        return made;
    }
    """
    str sip_text(const char* text, Py_ssize_t length)


cdef struct Span:
    text_t p
    Py_ssize_t start
    Py_ssize_t end


cdef enum:
    UNKNOWN = -1  # a word that is in no table
    SLOTS = 512


cdef struct Slot:
    uint32_t hash
    int index
    const char* word
    Py_ssize_t length


cdef class WordTable:
    cdef Slot slots[SLOTS]
    cdef list words
    cdef int add(self, str word, int index) except -1
    cdef int lookup(self, text_t p, Py_ssize_t start, Py_ssize_t end) noexcept


cdef class UriFields:
    cdef readonly str scheme
    cdef readonly object user
    cdef readonly object password
    cdef readonly str host
    cdef readonly object port
    cdef readonly object params
    cdef readonly object headers
    cdef readonly object opaque
    cdef str _text


cdef class NameAddrFields:
    cdef readonly UriFields uri
    cdef readonly object display_name
    cdef readonly object params


cdef class ViaFields:
    cdef readonly str protocol
    cdef readonly str transport
    cdef readonly str host
    cdef readonly object port
    cdef readonly object params


cdef inline str text_of(text_t p, Py_ssize_t start, Py_ssize_t end):
    """Bytes that are not UTF-8 survive as surrogates, and come back when they are sent."""
    return sip_text(<const char*>p + start, end - start)


cdef object pin(str text, Span* out)
cdef object uri_from(text_t p, Py_ssize_t start, Py_ssize_t end, str text)
cdef object name_addr_from(text_t p, Py_ssize_t start, Py_ssize_t end)
cdef object via_from(text_t p, Py_ssize_t start, Py_ssize_t end)
cdef object cseq_from(text_t p, Py_ssize_t start, Py_ssize_t end)
