"""Fields of SIP as native objects: URI, name-addr, Via, CSeq, parameters, authentication (RFC 3261 §19.1, §20, §25).

The grammar is explained in `sipcore.uri` and `sipcore.fields`, whose classes these are the base of; this module only
makes it fast. Every scanner goes over its text once, so hostile input costs linear time. Text from the network raises
ParseError and nothing else.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from libc.string cimport memset

from scan cimport (
    DIGIT, DISPLAY, HNAME, HOST, PARAM, TOKEN, USER, VALUE, escaped_span, find, hash_lower, is_in, number, quoted_end,
    same_lower, skip_space, span, text_t, trim_space,
)

from types import MappingProxyType

from sipcore.errors import ParseError
from sipcore.names import PARAMETERS

cdef extern from "Python.h":
    int PyUnicode_IS_COMPACT_ASCII(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    ctypedef struct PyTypeObject:
        object (*tp_new)(PyTypeObject* cls, object arguments, PyObject* keywords)
    PyTypeObject PyTuple_Type

cdef object EMPTY = MappingProxyType({})
cdef tuple NO_ARGUMENTS = ()


cdef bytes encoded(str text):
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ParseError("text that has no bytes") from None


cdef object pin(str text, Span* out):
    """The bytes of `text`; they live as long as the object returned."""
    cdef bytes raw
    if PyUnicode_IS_COMPACT_ASCII(text):
        out.p = <text_t>PyUnicode_DATA(text)
        out.start = 0
        out.end = PyUnicode_GET_LENGTH(text)
        return text
    raw = encoded(text)
    out.p = <text_t>PyBytes_AS_STRING(raw)
    out.start = 0
    out.end = PyBytes_GET_SIZE(raw)
    return raw


cdef object pin_trimmed(str text, Span* out):
    cdef object owner = pin(text, out)
    out.start = skip_space(out.p, out.start, out.end)
    out.end = trim_space(out.p, out.start, out.end)
    return owner


cdef str unquoted(text_t p, Py_ssize_t start, Py_ssize_t end):
    """The text between quotes, quoted pairs resolved."""
    cdef bytearray out
    cdef bytes kept
    if find(p, start, end, 0x5C) < 0:
        return text_of(p, start, end)
    out = bytearray()
    while start < end:
        if p[start] == 0x5C and start + 1 < end:
            start += 1
        out.append(p[start])
        start += 1
    kept = bytes(out)
    return text_of(<text_t>PyBytes_AS_STRING(kept), 0, len(kept))


cdef class WordTable:
    """Words in lower case → index, by open addressing; filled at import and then only read."""

    def __cinit__(self):
        memset(self.slots, 0, sizeof(self.slots))
        self.words = []

    cdef int add(self, str word, int index) except -1:
        cdef bytes raw = word.lower().encode()
        cdef Slot* slot
        cdef uint32_t value
        self.words.append(raw)
        value = hash_lower(<text_t>PyBytes_AS_STRING(raw), 0, len(raw))
        slot = &self.slots[value % SLOTS]
        while slot.word != NULL:
            value += 1
            slot = &self.slots[value % SLOTS]
        slot.hash = hash_lower(<text_t>PyBytes_AS_STRING(raw), 0, len(raw))
        slot.index = index
        slot.word = PyBytes_AS_STRING(raw)
        slot.length = len(raw)
        return 0

    cdef int lookup(self, text_t p, Py_ssize_t start, Py_ssize_t end) noexcept:
        cdef uint32_t value = hash_lower(p, start, end)
        cdef uint32_t at = value
        cdef Slot* slot = &self.slots[at % SLOTS]
        while slot.word != NULL:
            if slot.hash == value and same_lower(p, start, end, slot.word, slot.length):
                return slot.index
            at += 1
            slot = &self.slots[at % SLOTS]
        return UNKNOWN


cdef tuple PARAMETER_NAMES = tuple(PARAMETERS)
cdef WordTable PARAMETER_TABLE = WordTable()
for _index, _name in enumerate(PARAMETER_NAMES):
    PARAMETER_TABLE.add(_name, _index)


@cython.no_gc  # they hold text and tables of text: no cycle can pass through them
cdef class UriFields:
    """What `sipcore.uri.Uri` is made of."""

    def __init__(self, str scheme="sip", user=None, str host="", port=None, *, password=None, params=EMPTY,
                 headers=EMPTY, opaque=None):
        self.scheme = scheme
        self.user = user
        self.host = host
        self.port = port
        self.password = password
        self.params = params
        self.headers = headers
        self.opaque = opaque

    @classmethod
    def parse(cls, str text not None):
        """Raises ParseError."""
        cdef Span at
        owner = pin(text, &at)
        return read_uri(cls, at.p, at.start, at.end, text)

    def __str__(self):
        if self._text is None:
            self._text = self._format()
        return self._text


@cython.no_gc
cdef class NameAddrFields:
    """What `sipcore.fields.NameAddr` is made of."""


    def __init__(self, uri, display_name=None, params=EMPTY):
        self.uri = uri
        self.display_name = display_name
        self.params = params

    @property
    def tag(self):
        return self.params.get("tag")

    @classmethod
    def parse(cls, str text not None):
        """Raises ParseError."""
        cdef Span at
        owner = pin_trimmed(text, &at)
        return read_name_addr(cls, at.p, at.start, at.end)


@cython.no_gc
cdef class ViaFields:
    """What `sipcore.fields.Via` is made of."""


    def __init__(self, str transport, str host, port=None, params=EMPTY, str protocol="SIP/2.0"):
        self.protocol = protocol
        self.transport = transport
        self.host = host
        self.port = port
        self.params = params

    @property
    def branch(self):
        return self.params.get("branch")

    @classmethod
    def parse(cls, str text not None):
        """Raises ParseError."""
        cdef Span at
        owner = pin_trimmed(text, &at)
        return read_via(cls, at.p, at.start, at.end)


# The Python faces of these, found at first use: their modules import this one.
cdef type uri_face = None
cdef type name_addr_face = None
cdef type via_face = None
cdef type cseq_face = None


cdef int find_faces() except -1:
    global uri_face, name_addr_face, via_face, cseq_face
    from sipcore.fields import CSeq, NameAddr, Via
    from sipcore.uri import Uri
    uri_face, name_addr_face, via_face, cseq_face = Uri, NameAddr, Via, CSeq
    return 0


cdef object uri_from(text_t p, Py_ssize_t start, Py_ssize_t end, str text):
    if uri_face is None:
        find_faces()
    return read_uri(uri_face, p, start, end, text)


cdef object name_addr_from(text_t p, Py_ssize_t start, Py_ssize_t end):
    if name_addr_face is None:
        find_faces()
    return read_name_addr(name_addr_face, p, start, end)


cdef object via_from(text_t p, Py_ssize_t start, Py_ssize_t end):
    if via_face is None:
        find_faces()
    return read_via(via_face, p, start, end)


cdef object cseq_from(text_t p, Py_ssize_t start, Py_ssize_t end):
    if cseq_face is None:
        find_faces()
    return read_cseq(p, start, end)


cdef inline object instance(type cls):
    return (<PyTypeObject*>cls).tp_new(<PyTypeObject*>cls, NO_ARGUMENTS, NULL)


cdef inline str parameter_name(text_t p, Py_ssize_t start, Py_ssize_t end):
    cdef int index = PARAMETER_TABLE.lookup(p, start, end)
    return text_of(p, start, end).lower() if index == UNKNOWN else <str>PARAMETER_NAMES[index]


cdef Py_ssize_t host_end(text_t p, Py_ssize_t i, Py_ssize_t end) except -1:
    """The end of the host that begins at `i`, brackets of an IPv6 address included."""
    cdef Py_ssize_t stop
    if i < end and p[i] == 0x5B:
        stop = i + 1
        while stop < end and is_hex_or_dot(p[stop]):
            stop += 1
        if stop >= end or p[stop] != 0x5D or stop == i + 1:
            raise ParseError("bad IPv6 address")
        return stop + 1
    stop = span(p, i, end, HOST)
    if stop == i:
        raise ParseError("no host")
    return stop


cdef inline str host_text(text_t p, Py_ssize_t i, Py_ssize_t stop):
    cdef str text
    if p[i] != 0x5B:
        return text_of(p, i, stop)
    text = text_of(p, i + 1, stop - 1)
    # RFC 5118 §4.10: the grammar of RFC 3261 leads to one colon too many before an IPv4 address; "an implementation
    # must tolerate both".
    return text.replace(":::", "::") if ":::" in text else text


cdef object read_port(text_t p, Py_ssize_t* at, Py_ssize_t end):
    """The port after a host or None; `at` moves behind it."""
    cdef Py_ssize_t i = skip_space(p, at[0], end), stop
    cdef long long port
    if i >= end or p[i] != 0x3A:
        return None
    i = skip_space(p, i + 1, end)
    stop = span(p, i, end, DIGIT)
    port = number(p, i, stop, 65535)
    if port < 0:
        raise ParseError("bad port")
    at[0] = stop
    return port


cdef inline bint is_hex_or_dot(unsigned char byte) noexcept nogil:
    return is_in(byte, DIGIT) or byte == 0x3A or byte == 0x2E or 0x61 <= (byte | 0x20) <= 0x66


cdef object read_uri(object cls, text_t p, Py_ssize_t start, Py_ssize_t end, str text):
    cdef UriFields uri = instance(cls)
    cdef Py_ssize_t i = span(p, start, end, TOKEN)
    if i == start or i >= end or p[i] != 0x3A or is_in(p[start], DIGIT):
        raise ParseError("no URI scheme")
    uri._text = text_of(p, start, end) if text is None else text
    uri.user = uri.password = uri.port = uri.opaque = None
    uri.params = uri.headers = EMPTY
    uri.host = ""
    if same_lower(p, start, i, b"sip", 3) or same_lower(p, start, i, b"sips", 4):
        uri.scheme = "sip" if i == start + 3 else "sips"
        start = read_userinfo(uri, p, i + 1, end)
        i = host_end(p, start, end)
        uri.host = host_text(p, start, i)
        if i + 1 < end and p[i] == 0x3A and is_in(p[i + 1], DIGIT):
            uri.port = read_port(p, &i, end)
    elif same_lower(p, start, i, b"tel", 3):
        uri.scheme = "tel"
        start = i + 1
        i = escaped_span(p, start, end, HNAME)
        if i == start:
            raise ParseError("no number in a tel URI")
        uri.user = text_of(p, start, i)
    else:
        uri.scheme = text_of(p, start, i).lower()
        uri.opaque = text_of(p, i + 1, end)
        for i in range(i + 1, end):
            if p[i] <= 0x20 or p[i] == 0x3C or p[i] == 0x3E or p[i] == 0x22 or p[i] == 0x7F:
                raise ParseError("bad character in a URI")
        return uri
    if i < end and p[i] == 0x3B:
        uri.params = {}
        i = read_uri_params(<dict>uri.params, p, i, end)
    if i < end and p[i] == 0x3F:
        uri.headers = {}
        i = read_uri_headers(<dict>uri.headers, p, i, end)
    if i != end:
        raise ParseError("bad character in a URI")
    return uri


cdef Py_ssize_t read_userinfo(UriFields uri, text_t p, Py_ssize_t i, Py_ssize_t end) except -1:
    """Where the host begins."""
    cdef Py_ssize_t at = find(p, i, end, 0x40), stop
    if at < 0:
        return i
    stop = escaped_span(p, i, at, USER)
    if stop == i:
        raise ParseError("empty user in a URI")
    uri.user = text_of(p, i, stop)
    if stop < at and p[stop] == 0x3A:
        i = stop + 1
        stop = escaped_span(p, i, at, USER)
        uri.password = text_of(p, i, stop)
    if stop != at:
        raise ParseError("bad character in the user part of a URI")
    return at + 1


cdef Py_ssize_t read_uri_params(dict params, text_t p, Py_ssize_t i, Py_ssize_t end) except -1:
    cdef Py_ssize_t stop
    cdef str name
    while i < end and p[i] == 0x3B:
        stop = escaped_span(p, i + 1, end, PARAM)
        if stop == i + 1:
            raise ParseError("empty parameter in a URI")
        name = parameter_name(p, i + 1, stop)
        if name in params:
            raise ParseError("parameter twice in a URI")
        params[name] = None
        i = stop
        if i < end and p[i] == 0x3D:
            stop = i + 1
            while stop < end and p[stop] != 0x3B and p[stop] != 0x3F:
                stop = escaped_span(p, stop, end, PARAM)
                if stop < end and p[stop] == 0x3D:
                    stop += 1
                elif stop < end and p[stop] != 0x3B and p[stop] != 0x3F:
                    raise ParseError("bad character in a URI")
            params[name] = text_of(p, i + 1, stop)
            i = stop
    return i


cdef Py_ssize_t read_uri_headers(dict headers, text_t p, Py_ssize_t i, Py_ssize_t end) except -1:
    cdef Py_ssize_t equals, stop
    while i < end and (p[i] == 0x3F or p[i] == 0x26):
        equals = escaped_span(p, i + 1, end, HNAME)
        if equals == i + 1 or equals >= end or p[equals] != 0x3D:
            raise ParseError("bad header in a URI")
        stop = escaped_span(p, equals + 1, end, HNAME)
        headers[text_of(p, i + 1, equals)] = text_of(p, equals + 1, stop)
        i = stop
    return i


cdef object read_params(text_t p, Py_ssize_t i, Py_ssize_t end):
    """`;a=1;b` → {"a": "1", "b": None}. Names are lower-cased, values stay as written, quotes included."""
    cdef dict params
    cdef str name
    cdef Py_ssize_t stop
    i = skip_space(p, i, end)
    if i == end:
        return EMPTY
    params = {}
    while i < end:
        if p[i] != 0x3B:
            raise ParseError("bad character in a parameter")
        i = skip_space(p, i + 1, end)
        stop = span(p, i, end, TOKEN)
        if stop == i:
            if i == end and params:
                return params  # some phones end their lists with ";"
            raise ParseError("parameter without a name")
        name = parameter_name(p, i, stop)
        if name in params:
            raise ParseError("parameter twice")
        params[name] = None
        i = skip_space(p, stop, end)
        if i < end and p[i] == 0x3D:
            i = skip_space(p, i + 1, end)
            stop = quoted_end(p, i, end) if i < end and p[i] == 0x22 else span(p, i, end, VALUE)
            if stop < 0:
                raise ParseError("unterminated quoted string")
            params[name] = text_of(p, i, stop)
            i = skip_space(p, stop, end)
    return params


cdef object read_name_addr(object cls, text_t p, Py_ssize_t start, Py_ssize_t end):
    """`start` and `end` without white space around."""
    cdef NameAddrFields address = instance(cls)
    cdef Py_ssize_t i = start, stop
    address.display_name = None
    if i < end and p[i] == 0x22:
        stop = quoted_end(p, i, end)
        if stop < 0:
            raise ParseError("unterminated quoted string")
        address.display_name = unquoted(p, i + 1, stop - 1)
        i = skip_space(p, stop, end)
        if i >= end or p[i] != 0x3C:
            raise ParseError("display name without <uri>")
    else:
        stop = span(p, i, end, DISPLAY)
        if stop >= end or p[stop] != 0x3C:
            return read_addr_spec(address, p, start, end)
        if stop > i:
            address.display_name = text_of(p, i, trim_space(p, i, stop)) or None
        i = stop
    stop = find(p, i, end, 0x3E)
    if stop < 0:
        raise ParseError("no > after <")
    address.uri = uri_from(p, i + 1, stop, None)
    address.params = read_params(p, stop + 1, end)
    return address


cdef object read_addr_spec(NameAddrFields address, text_t p, Py_ssize_t start, Py_ssize_t end):
    """Without <>: parameters belong to the header, and the URI must not contain a comma or question mark (§20.10)."""
    cdef Py_ssize_t stop = find(p, start, end, 0x3B)
    if stop < 0:
        stop = end
    if find(p, start, stop, 0x3F) >= 0 or find(p, start, stop, 0x2C) >= 0:
        raise ParseError("URI that needs <>")
    address.uri = uri_from(p, start, trim_space(p, start, stop), None)
    address.params = read_params(p, stop, end)
    return address


cdef object read_via(object cls, text_t p, Py_ssize_t start, Py_ssize_t end):
    """`SIP/2.0/UDP host:port;params`; white space may stand around "/" and ":"."""
    cdef ViaFields via = instance(cls)
    cdef Py_ssize_t i = span(p, start, end, TOKEN), slash, stop
    if end - start > 7 and p[start + 7] == 0x2F and same_lower(p, start, start + 7, b"sip/2.0", 7):
        via.protocol = "SIP/2.0"
        i = start + 7
    else:
        slash = skip_space(p, i, end)
        stop = skip_space(p, slash + 1, end)
        if i == start or slash >= end or p[slash] != 0x2F or span(p, stop, end, TOKEN) == stop:
            raise ParseError("Via without a protocol")
        via.protocol = (text_of(p, start, i) + "/" + text_of(p, stop, span(p, stop, end, TOKEN))).upper()
        i = skip_space(p, span(p, stop, end, TOKEN), end)
    if i >= end or p[i] != 0x2F:
        raise ParseError("Via without a transport")
    i = skip_space(p, i + 1, end)
    stop = span(p, i, end, TOKEN)
    if stop == i or stop >= end or not (p[stop] == 0x20 or p[stop] == 0x09):
        raise ParseError("Via without a transport")
    via.transport = text_of(p, i, stop).upper()
    i = skip_space(p, stop, end)
    stop = host_end(p, i, end)
    via.host = host_text(p, i, stop)
    via.port = read_port(p, &stop, end)
    via.params = read_params(p, stop, end)
    return via


cdef object read_cseq(text_t p, Py_ssize_t start, Py_ssize_t end):
    cdef Py_ssize_t i = span(p, start, end, DIGIT), method = skip_space(p, i, end)
    # RFC 3261 §8.1.1.5: less than 2**31
    cdef long long value = number(p, start, i, 2147483647)
    if value < 0 or method == i or method == end or span(p, method, end, TOKEN) != end:
        raise ParseError("bad CSeq")
    return PyTuple_Type.tp_new(<PyTypeObject*>cseq_face, ((value, text_of(p, method, end)),), NULL)


def parse_cseq(str text not None):
    """Raises ParseError."""
    cdef Span at
    owner = pin_trimmed(text, &at)
    return cseq_from(at.p, at.start, at.end)


def parse_params(str text not None):
    """`;a=1;b` → {"a": "1", "b": None}. Raises ParseError."""
    cdef Span at
    owner = pin_trimmed(text, &at)
    return read_params(at.p, at.start, at.end)


def parse_host_port(str text not None):
    """(host without brackets, port or None). Raises ParseError."""
    cdef Span at
    cdef Py_ssize_t stop
    owner = pin_trimmed(text, &at)
    stop = host_end(at.p, at.start, at.end)
    host = host_text(at.p, at.start, stop)
    port = read_port(at.p, &stop, at.end)
    if stop != at.end:
        raise ParseError("bad character after a host")
    return host, port


include "credentials.pxi"
