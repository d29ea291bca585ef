"""The shapes that the tokenizer shares with the fields."""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t

from scan cimport text_t


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
    return PyUnicode_DecodeUTF8(<const char*>p + start, end - start, "surrogateescape")


cdef object pin(str text, Span* out)
cdef object uri_from(text_t p, Py_ssize_t start, Py_ssize_t end, str text)
cdef object name_addr_from(text_t p, Py_ssize_t start, Py_ssize_t end)
cdef object via_from(text_t p, Py_ssize_t start, Py_ssize_t end)
cdef object cseq_from(text_t p, Py_ssize_t start, Py_ssize_t end)
