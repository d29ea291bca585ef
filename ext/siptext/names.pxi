# Header names: their index, their canonical form, and where a line ends.

cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef tuple NAMES = tuple(KNOWN)
cdef WordTable HEADER_TABLE = WordTable()
cdef dict INDEX = {}
cdef unsigned char IS_LIST[256]
cdef unsigned char IS_SINGLE[256]


cdef int fill_tables() except -1:
    cdef int index
    for index, name in enumerate(NAMES):
        HEADER_TABLE.add(name, index)
        INDEX[name] = INDEX[name.lower()] = index
        IS_LIST[index] = name in LISTS
        IS_SINGLE[index] = name in SINGLE
    for letter, name in COMPACT.items():
        HEADER_TABLE.add(letter, INDEX[name])
        INDEX[letter] = INDEX[name]
    return 0


fill_tables()
cdef int VIA = INDEX["Via"]
cdef int FROM = INDEX["From"]
cdef int TO = INDEX["To"]
cdef int CALL_ID = INDEX["Call-ID"]
cdef int CSEQ = INDEX["CSeq"]
cdef int CONTACT = INDEX["Contact"]
cdef int ROUTE = INDEX["Route"]
cdef int RECORD_ROUTE = INDEX["Record-Route"]
cdef int MAX_FORWARDS = INDEX["Max-Forwards"]
cdef int EXPIRES = INDEX["Expires"]
cdef int CONTENT_TYPE = INDEX["Content-Type"]
cdef int CONTENT_LENGTH = INDEX["Content-Length"]


cdef inline int index_of(str name):
    cdef object found = INDEX.get(name)
    if found is None:
        found = INDEX.get(name.strip(" \t").lower())
    return UNKNOWN if found is None else <int>found


def canonical(str name not None):
    """`v`, `VIA ` → `Via`; an unknown name keeps its spelling."""
    cdef int index = index_of(name)
    return name.strip(" \t") if index == UNKNOWN else NAMES[index]


cdef str checked_name(str name):
    """The name of a header of ours, in its canonical spelling. Raises LocalProtocolError."""
    cdef Span spelled
    cdef int index = index_of(name)
    if index != UNKNOWN:
        return <str>NAMES[index]
    name = name.strip(" \t")
    owner = pin(name, &spelled)
    if spelled.end == 0 or span(spelled.p, 0, spelled.end, TOKEN) != spelled.end:
        raise LocalProtocolError("bad header name")
    return name


cdef int check_line(str text) except -1:
    """What we are asked to send must stay on its line: CR or LF would begin a header of somebody else's choice."""
    cdef Span at
    try:
        owner = pin(text, &at)
    except ParseError:
        raise LocalProtocolError("text that has no bytes") from None
    if find(at.p, at.start, at.end, 0x0A) >= 0 or find(at.p, at.start, at.end, 0x0D) >= 0:
        raise LocalProtocolError("line break in what is to be one line")
    return 0


cdef Py_ssize_t line_end(text_t p, Py_ssize_t i, Py_ssize_t end, Py_ssize_t* after) except -1:
    """Where the line's text ends; `after` is where the next line begins."""
    cdef Py_ssize_t stop = find(p, i, end, 0x0A)
    if stop < 0:
        raise ParseError("no empty line after the headers", offset=end)
    after[0] = stop + 1
    if stop > i and p[stop - 1] == 0x0D:
        stop -= 1
    if find(p, i, stop, 0x0D) >= 0:
        raise ParseError("bare CR in the header", offset=i)
    return stop


cdef bytes unfolded(text_t p, Py_ssize_t start, Py_ssize_t end):
    """RFC 3261 §7.3.1: line break and white space around it are one space."""
    cdef bytearray out = bytearray()
    cdef Py_ssize_t stop, trimmed
    while start < end:
        start = skip_space(p, start, end)
        stop = find(p, start, end, 0x0A)
        if stop < 0:
            stop = end
        trimmed = stop - 1 if stop > start and p[stop - 1] == 0x0D else stop
        trimmed = trim_space(p, start, trimmed)
        if trimmed > start:
            if out:
                out.append(0x20)
            out += PyBytes_FromStringAndSize(<const char*>p + start, trimmed - start)
        start = stop + 1
    return bytes(out)
