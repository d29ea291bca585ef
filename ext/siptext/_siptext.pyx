"""The tokenizer: one pass indexes a SIP message, headers and fields become objects where they are asked for.

`Headers` keeps offsets into the bytes as they came. A line that nobody changed is sent on byte for byte, except that
a folded one is unfolded: a peer that folds differently would see other headers than we do. LF ends a line with or
without CR before it, on every transport alike, and is sent on as CRLF; a bare CR is refused. One rule everywhere,
because a request can be hidden between two elements that disagree.

The rules are those of RFC 3261 §7 and §18.3, told in `sipcore.parser`; this module makes them fast, in linear time.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF, Py_XINCREF
from libc.string cimport memchr, memcpy, memmove, memset

from scan cimport DIGIT, TOKEN, element_end, find, number, same_lower, skip_space, span, text_t, trim_space
from sipcore._sipfields cimport (
    UNKNOWN, Span, UriFields, ViaFields, WordTable, cseq_from, name_addr_from, pin, text_of, uri_from, via_from,
)

from sipcore.errors import LocalProtocolError, ParseError
from sipcore.names import COMPACT, KNOWN, LISTS, METHODS, REASONS, SINGLE

cdef extern from "<string.h>":
    void* memmem(const void* text, size_t length, const void* word, size_t word_length)

include "buffer.pxi"
include "names.pxi"
include "headers.pxi"
include "messages.pxi"


def read_message(bytes data not None, limits):
    """(message, None), or (what could be read of it or None, the ParseError)."""
    cdef text_t p = <text_t>PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data), start = 0, stop, after = 0, body
    cdef Message message = None
    try:
        if end > limits.max_message:
            raise ParseError("message too large", status_hint=513)
        # RFC 3261 §7.5: CRLF before the start line is ignored.
        while start < end and (p[start] == 0x0D or p[start] == 0x0A):
            start += 1
        stop = line_end(p, start, end, &after)
        if stop - start >= 4 and same_lower(p, start, start + 4, b"sip/", 4):
            message = read_status_line(p, start, stop)
        else:
            message = read_request_line(p, start, stop)
        message.body = b""
        message.headers = Headers.__new__(Headers)
        body = message.headers.index_lines(data, after, limits)
        if isinstance(message, Request):
            check_request_line(<Request>message, p, start, stop, limits)
        read_body(message, data, body)
        validate(message, limits)
    except ParseError as error:
        return message, error
    return message, None


cdef Response read_status_line(text_t p, Py_ssize_t start, Py_ssize_t stop):
    """`SIP/2.0 SP 3DIGIT SP reason`; some phones leave out the last space with the reason."""
    cdef Response response
    cdef Py_ssize_t code = start + 8
    if stop - start < 11 or not same_lower(p, start, code, b"sip/2.0 ", 8):
        raise ParseError("bad status line", offset=start)
    if span(p, code, code + 3, DIGIT) != code + 3 or (stop > code + 3 and p[code + 3] != 0x20):
        raise ParseError("bad status code", offset=code)
    response = Response.__new__(Response)
    response.status = <int>number(p, code, code + 3, 999)
    if not 100 <= response.status <= 699:
        raise ParseError("bad status code", offset=code)
    response.reason = text_of(p, min(code + 4, stop), stop)
    return response


cdef Request read_request_line(text_t p, Py_ssize_t start, Py_ssize_t stop):
    """Method, and the Request-URI as it stands; `check_request_line` is strict, when the headers are read."""
    cdef Request request
    cdef Py_ssize_t space = span(p, start, stop, TOKEN), last = stop
    while last > space and p[last - 1] != 0x20:
        last -= 1
    if space == start or space >= stop or p[space] != 0x20 or last <= space + 1:
        raise ParseError("bad start line", offset=start)
    request = Request.__new__(Request)
    request.method = text_of(p, start, space)
    request.uri_text = text_of(p, space + 1, last - 1)
    return request


cdef int check_request_line(Request request, text_t p, Py_ssize_t start, Py_ssize_t stop, object limits) except -1:
    cdef Py_ssize_t version = start + PyUnicode_GET_LENGTH(request.method) + 1
    cdef UriFields uri
    while find(p, version, stop, 0x20) >= 0:
        version = find(p, version, stop, 0x20) + 1
    if not same_lower(p, version, stop, b"sip/2.0", 7):
        if stop - version > 4 and same_lower(p, version, version + 4, b"sip/", 4):
            raise ParseError("unknown SIP version", status_hint=505)
        raise ParseError("bad start line", offset=start)
    if len(request.uri_text) > limits.max_uri:
        raise ParseError("Request-URI too long", status_hint=414)
    uri = request.uri
    if uri.headers:
        raise ParseError("headers in the Request-URI")  # RFC 3261 §19.1.1, table 1
    return 0


cdef int read_body(Message message, bytes data, Py_ssize_t start) except -1:
    """RFC 3261 §18.3: without Content-Length the body is the rest; what follows the body is ignored."""
    cdef Span at
    cdef Py_ssize_t rest = PyBytes_GET_SIZE(data) - start
    cdef long long length = rest
    cdef Py_ssize_t i = message.headers.find_line(0, CONTENT_LENGTH, None)
    if i >= 0:
        owner = message.headers.span_of(&message.headers._lines[i], &at)
        length = number(at.p, at.start, at.end, 999999999)
        if length < 0:
            raise ParseError("bad Content-Length")
        if length > rest:
            raise ParseError("body shorter than Content-Length")
    message.body = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, length)
    return 0


cdef int validate(Message message, object limits) except -1:
    """What every element checks (RFC 3261 §8.1.1, §8.2, §16.3): after it no typed field of the message raises."""
    cdef Headers headers = message.headers
    cdef unsigned char seen[256]
    cdef Py_ssize_t i
    cdef int index
    memset(seen, 0, sizeof(seen))
    for i in range(headers._count):
        index = headers._lines[i].index
        if index != UNKNOWN:
            if seen[index] and IS_SINGLE[index]:
                raise ParseError(f"two {NAMES[index]} headers")
            seen[index] = 1
    for index in (VIA, FROM, TO, CALL_ID, CSEQ):
        if not seen[index]:
            raise ParseError(f"no {NAMES[index]} header")
    if len(<tuple>message.field(VIAS)) > limits.max_vias:
        raise ParseError("too many Via headers")
    if not message.call_id or " " in message.call_id:
        raise ParseError("bad Call-ID")
    message.field(FROM_FIELD)
    message.field(TO_FIELD)
    cseq = message.field(CSEQ_FIELD)
    if seen[CONTACT] and len(<tuple>message.field(CONTACTS)) > limits.max_contacts:
        raise ParseError("too many Contact headers")
    if seen[ROUTE]:
        message.field(ROUTES)
    if seen[RECORD_ROUTE]:
        message.field(RECORD_ROUTES)
    if seen[MAX_FORWARDS]:
        message.count(MAX_FORWARDS, 255)
    if isinstance(message, Request) and cseq[1] != (<Request>message).method:
        # RFC 4475 §3.1.2.18: for an unknown method 501 "has better future-proof characteristics"
        raise ParseError(
            "CSeq method is not the method of the request",
            status_hint=400 if (<Request>message).method in METHODS else 501,
        )
    return 0


def framed_length(bytes head not None):
    """The Content-Length in the headers of a message on a stream, where it MUST be (RFC 3261 §18.3).

    `head` ends with the empty line. Its lines are read as `read_message` reads them, and none may be unreadable: what
    one element takes for no header another may take for the length. Raises ParseError when there is no length, a
    broken one, or a second.
    """
    cdef text_t p = <text_t>PyBytes_AS_STRING(head)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(head), i = 0, stop, after = 0, name_end, colon
    cdef long long length = -1
    cdef bint is_folded
    while i < end and (p[i] == 0x0D or p[i] == 0x0A):
        i += 1
    line_end(p, i, end, &after)
    while True:
        i = after
        stop = line_end(p, i, end, &after)
        if stop == i:
            break
        name_end = span(p, i, stop, TOKEN)
        colon = skip_space(p, name_end, stop)
        if name_end == i or colon == stop or p[colon] != 0x3A:
            raise ParseError("header line without a name", offset=i)
        is_folded = False
        while after < end and (p[after] == 0x20 or p[after] == 0x09):
            is_folded = True
            line_end(p, after, end, &after)
        if HEADER_TABLE.lookup(p, i, name_end) != CONTENT_LENGTH:
            continue
        if length >= 0:
            raise ParseError("two Content-Length headers", offset=i)
        # A folded number is one that not everybody unfolds.
        length = -1 if is_folded else number(p, skip_space(p, colon + 1, stop), trim_space(p, colon + 1, stop), 999999999)
        if length < 0:
            raise ParseError("bad Content-Length", offset=i)
    if length < 0:
        raise ParseError("no Content-Length")
    return length


def call_id_written(bytes data not None):
    """The Call-ID of a message that nobody has parsed, as its line has it; empty unless that is written "Call-ID: …"."""
    cdef const char* p = PyBytes_AS_STRING(data)
    cdef const char* end = p + PyBytes_GET_SIZE(data)
    cdef const char* start = <const char*>memmem(p, end - p, <const char*>b"\r\nCall-ID: ", 11)
    cdef const char* stop
    if start == NULL:
        return b""
    start += 11
    stop = <const char*>memchr(start, 0x0D, end - start)
    return PyBytes_FromStringAndSize(start, (end if stop == NULL else stop) - start)
