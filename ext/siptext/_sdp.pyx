"""Session descriptions read and written in one pass each; what the lines mean is `sipcore.sdp`, whose classes are made here.

Reading goes over the lines twice: first what every section must be (so that a broken line is told before what breaks in
an earlier one), then the values. Everything takes linear time, and text from the network raises ParseError and nothing
else.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memcpy

from scan cimport find, text_t
from sipcore._sipfields cimport Span, pin, text_of

from sipcore.errors import ParseError

include "buffer.pxi"

cdef enum:
    # Attributes that descriptions share, and of how many bytes at most: keys and candidates are longer.
    SHARED = 1024
    SHORT = 64


cdef class Codec:
    """Reads and writes descriptions of these classes.

    All calls of a model of phone have most attributes in common, and share them: a new one takes the place of another
    with its hash.
    """

    cdef object session
    cdef object stream
    cdef object origin
    cdef object attribute
    cdef object line
    cdef Py_ssize_t max_streams
    cdef Py_ssize_t max_formats
    cdef Py_ssize_t max_lines
    cdef list texts
    cdef list shared

    def __init__(self, *, session, stream, origin, attribute, line, max_streams, max_formats, max_lines):
        self.session, self.stream, self.origin, self.attribute, self.line = session, stream, origin, attribute, line
        self.max_streams, self.max_formats, self.max_lines = max_streams, max_formats, max_lines
        self.texts = [b""] * SHARED
        self.shared = [None] * SHARED

    def read(self, bytes body not None):
        """The description in `body`. Raises: ParseError (488) when it is none or breaks a ceiling."""
        cdef text_t p = <text_t>PyBytes_AS_STRING(body)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(body), at = self.check(p, end)
        cdef Section own = Section()
        cdef list media = []
        at = self.read_section(p, at, end, own, True)
        origin = None if own.origin is None else self.read_origin(own.origin)
        while at < end:
            at = self.read_stream(p, at, end, media)
        return self.session(
            origin, own.name, own.connection, tuple(own.attributes), tuple(media), own.in_order()
        )

    cdef Py_ssize_t check(self, text_t p, Py_ssize_t end) except -1:
        """Whether the lines are lines, and not too many; the place behind the first one, v=0."""
        cdef Py_ssize_t i = 0, stop, streams = 0, lines = 0, first = -1
        if end and memchr(p, 0, end) != NULL:
            raise problem("not a line of SDP")
        while i < end:
            stop = line_end(p, i, end)
            if stop > i:
                if not has_type(p, i, stop):
                    raise problem("not a line of SDP")
                if p[i] == 0x6D:  # m
                    if streams == self.max_streams:
                        raise problem("too many streams")
                    streams += 1
                    lines = 0
                elif lines > self.max_lines:
                    raise problem("too many lines")
                if first < 0:
                    first = stop if is_version_0(p, i, stop) else end + 1
                lines += 1
            i = stop + 1
        if not 0 <= first <= end:
            raise problem("SDP starts with v=0")
        return first

    cdef Py_ssize_t read_section(self, text_t p, Py_ssize_t i, Py_ssize_t end, Section into, bint is_first) except -1:
        """The lines from `i` on up to the next m=, where this ends; or the end."""
        cdef Py_ssize_t stop
        cdef unsigned char kind
        while i < end:
            stop = line_end(p, i, end)
            if stop == i:
                i += 1
                continue
            kind = p[i]
            if kind == 0x6D:  # m
                return i
            if kind == 0x61:  # a
                into.attributes.append(self.read_attribute(p, i + 2, stop))
            elif kind == 0x63 and into.connection is None:  # c
                into.connection = connection_of(text_of(p, i + 2, stop))
            elif kind == 0x6F and is_first and into.origin is None:  # o
                into.origin = text_of(p, i + 2, stop)
            elif kind == 0x73 and is_first and into.name is None:  # s
                into.name = text_of(p, i + 2, stop)
            else:
                self.read_other(p, i, stop, into)
            i = stop + 1
        return end

    cdef int read_other(self, text_t p, Py_ssize_t i, Py_ssize_t stop, Section into) except -1:
        cdef Py_ssize_t equals = i + 1 if p[i] < 0x80 else find(p, i, stop, 0x3D)
        cdef str kind = text_of(p, i, equals)
        line = self.line(kind, text_of(p, equals + 1, stop))
        # RFC 8866 §9: i= u= e= p= stand before c=, everything else after it.
        if kind in "iuep":
            into.before.append(line)
        else:
            into.after.append(line)
        return 0

    cdef object read_attribute(self, text_t p, Py_ssize_t i, Py_ssize_t stop):
        cdef Py_ssize_t colon, length = stop - i, place
        cdef uint32_t value = 2166136261u
        cdef bytes text
        if length > SHORT:
            return self.new_attribute(p, i, stop)
        for colon in range(i, stop):
            value = (value ^ p[colon]) * 16777619u
        place = (value ^ value >> 16) % SHARED
        text = <bytes>self.texts[place]
        if PyBytes_GET_SIZE(text) == length and length and memcmp(PyBytes_AS_STRING(text), p + i, length) == 0:
            return self.shared[place]
        made = self.new_attribute(p, i, stop)
        self.texts[place], self.shared[place] = PyBytes_FromStringAndSize(<const char*>p + i, length), made
        return made

    cdef object new_attribute(self, text_t p, Py_ssize_t i, Py_ssize_t stop):
        cdef Py_ssize_t colon = find(p, i, stop, 0x3A)
        if colon < 0:
            return self.attribute(text_of(p, i, stop), None)
        return self.attribute(text_of(p, i, colon), text_of(p, colon + 1, stop))

    cdef object read_origin(self, str value):
        # Some leave the user out, or write a name with spaces: nothing of it is used.
        cdef list parts = ["-", *value.split()] if value[:1].isspace() else value.rsplit(None, 5)
        if len(parts) != 6:
            raise problem("o= has not six fields")
        return self.origin(parts[0], parts[1], parts[2], parts[5])

    cdef Py_ssize_t read_stream(self, text_t p, Py_ssize_t i, Py_ssize_t end, list media) except -1:
        """The section that begins with the m= at `i`; where the next one does, or the end."""
        cdef Py_ssize_t stop = line_end(p, i, end)
        cdef list parts = text_of(p, i + 2, stop).split()
        cdef Section own = Section()
        if len(parts) < 4:
            raise problem("m= has fewer than four fields")
        if len(parts) - 3 > self.max_formats:
            raise problem("too many formats")
        after = self.read_section(p, stop, end, own, False)
        port, slash, count = (<str>parts[1]).partition("/")
        media.append(
            self.stream(
                parts[0], small_number(port), parts[2], tuple(parts[3:]), own.connection, tuple(own.attributes),
                own.in_order(), small_number(count) if slash else 1,
            )
        )
        return after

    def write(self, description):
        """The bytes of a description, in the order of RFC 8866 §9."""
        cdef Buffer out
        begin(&out)
        try:
            put_bytes(&out, b"v=0\r\n")
            origin = description.origin
            if origin is not None:
                put_bytes(&out, b"o=")
                put_text(&out, str(origin))
                put_bytes(&out, b"\r\n")
            if description.name is not None:
                put_bytes(&out, b"s=")
                put_text(&out, description.name)
                put_bytes(&out, b"\r\n")
            write_section(&out, description.connection, description.lines, description.attributes)
            for stream in description.media:
                write_stream(&out, stream)
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            PyMem_Free(out.heap)


cdef class Section:
    """The lines of one section, sorted by what they are."""

    cdef str origin
    cdef str name
    cdef str connection
    cdef list attributes
    cdef list before
    cdef list after

    def __cinit__(self):
        self.attributes, self.before, self.after = [], [], []

    cdef tuple in_order(self):
        return tuple(self.before + self.after) if self.before else tuple(self.after)


cdef object problem(str message):
    return ParseError(message, status_hint=488)


cdef inline Py_ssize_t line_end(text_t p, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    """The next CR or LF, or the end: between the two of a CRLF is an empty line, which counts for nothing."""
    while i < end and p[i] != 0x0A and p[i] != 0x0D:
        i += 1
    return i


cdef bint has_type(text_t p, Py_ssize_t i, Py_ssize_t stop) except -1:
    """Whether one character and "=" begin the line."""
    if p[i] < 0x80:
        return stop - i > 1 and p[i + 1] == 0x3D
    # A character has at most four bytes.
    return text_of(p, i, min(stop, i + 6))[1:2] == "="


cdef bint is_version_0(text_t p, Py_ssize_t i, Py_ssize_t stop) noexcept:
    while stop > i and (p[stop - 1] == 0x20 or p[stop - 1] == 0x09):
        stop -= 1
    return stop - i == 3 and memcmp(p + i, b"v=0", 3) == 0


cdef str connection_of(str value):
    cdef list parts = value.split()
    cdef bint is_ip6
    if len(parts) != 3 or (parts[0] != "IN" and parts[0].upper() != "IN"):
        raise problem("c= is not IN IP4 or IN IP6")
    family = parts[1].upper()
    is_ip6 = family == "IP6"
    if not is_ip6 and family != "IP4":
        raise problem("c= is not IN IP4 or IN IP6")
    if (":" in <str>parts[2]) != is_ip6:
        raise problem("c= has an address of the other family")
    return parts[2]


cdef int small_number(str text) except -1:
    cdef Py_UCS4 digit
    cdef int value = 0
    for digit in text:
        # Five digits at most: 00000000080 is no port.
        if not 0x30 <= digit <= 0x39 or len(text) > 5:
            raise problem("m= has no port")
        value = value * 10 + <int>digit - 0x30
    if not text or value > 65535:
        raise problem("m= has no port")
    return value


cdef int put_bytes(Buffer* out, bytes text) except -1:
    return put(out, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef int write_stream(Buffer* out, stream) except -1:
    put_bytes(out, b"m=")
    put_text(out, stream.media)
    put_bytes(out, b" ")
    put_text(out, str(stream.port))
    if stream.port_count != 1:
        put_bytes(out, b"/")
        put_text(out, str(stream.port_count))
    put_bytes(out, b" ")
    put_text(out, stream.proto)
    put_bytes(out, b" ")
    put_text(out, " ".join(stream.formats))
    put_bytes(out, b"\r\n")
    return write_section(out, stream.connection, stream.lines, stream.attributes)


cdef int write_section(Buffer* out, connection, tuple lines, tuple attributes) except -1:
    for kind, value in lines:
        if kind in "iuep":
            write_line(out, kind, value)
    if connection is not None:
        put_bytes(out, b"c=IN IP6 " if ":" in <str>connection else b"c=IN IP4 ")
        put_text(out, connection)
        put_bytes(out, b"\r\n")
    for kind, value in lines:
        if kind not in "iuep":
            write_line(out, kind, value)
    for name, value in attributes:
        put_bytes(out, b"a=")
        put_text(out, name)
        if value is not None:
            put_bytes(out, b":")
            put_text(out, value)
        put_bytes(out, b"\r\n")
    return 0


cdef int write_line(Buffer* out, str kind, str value) except -1:
    put_text(out, kind)
    put_bytes(out, b"=")
    put_text(out, value)
    return put_bytes(out, b"\r\n")
