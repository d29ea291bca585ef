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
from libc.string cimport memcpy, memmove, memset

from scan cimport DIGIT, TOKEN, element_end, find, number, same_lower, skip_space, span, text_t, trim_space
from sipcore._sipfields cimport (
    UNKNOWN, Span, UriFields, WordTable, cseq_from, name_addr_from, pin, text_of, uri_from, via_from,
)

from sipcore.errors import LocalProtocolError, ParseError
from sipcore.names import COMPACT, KNOWN, LISTS, METHODS, REASONS, SINGLE

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


# What `to_bytes` writes into: the stack first, the heap when a message is larger.
cdef struct Buffer:
    char* data
    Py_ssize_t size
    Py_ssize_t capacity
    char* heap
    char stack[4096]


cdef inline void begin(Buffer* out) noexcept:
    out.data = out.stack
    out.heap = NULL
    out.size = 0
    out.capacity = sizeof(out.stack)


cdef int put(Buffer* out, const void* data, Py_ssize_t size) except -1:
    cdef char* grown
    if out.size + size > out.capacity:
        grown = <char*>PyMem_Malloc((out.size + size) * 2)
        if grown == NULL:
            raise MemoryError()
        memcpy(grown, out.data, out.size)
        PyMem_Free(out.heap)
        out.data = out.heap = grown
        out.capacity = (out.size + size) * 2
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef int put_text(Buffer* out, str text) except -1:
    cdef Span at
    owner = pin(text, &at)
    return put(out, at.p, at.end)


cdef struct Line:
    int index  # of NAMES, or UNKNOWN
    int start  # offsets into the source; -1: the line was set by us
    int name_end
    int value
    int value_end
    int end
    bint is_plain  # ends with CRLF and is not folded: may be sent as it is
    bint is_folded
    PyObject* name  # owned str of an unknown header, or NULL: not decoded yet
    PyObject* text  # owned str of the value, or NULL


cdef class Headers:
    """Header lines in wire order: a multi-map by name that knows compact forms (RFC 3261 §7.3).

    `version` counts changes, so that a message knows when a field it has parsed is stale.
    """

    cdef bytes _source
    cdef Line* _lines
    cdef Py_ssize_t _count
    cdef Py_ssize_t _capacity
    cdef readonly Py_ssize_t version

    def __init__(self, lines=()):
        for name, value in lines:
            self.add(name, value)

    @classmethod
    def of(cls, lines not None):
        """The same as the constructor."""
        return cls(lines)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self._count):
            Py_XDECREF(self._lines[i].name)
            Py_XDECREF(self._lines[i].text)
        PyMem_Free(self._lines)

    # The array of lines

    cdef Line* insert(self, Py_ssize_t at) except NULL:
        """An empty line before the line `at`."""
        cdef Line* grown
        if self._count == self._capacity:
            grown = <Line*>PyMem_Realloc(self._lines, (self._capacity * 2 + 16) * sizeof(Line))
            if grown == NULL:
                raise MemoryError()
            self._lines = grown
            self._capacity = self._capacity * 2 + 16
        memmove(self._lines + at + 1, self._lines + at, (self._count - at) * sizeof(Line))
        self._count += 1
        memset(self._lines + at, 0, sizeof(Line))
        return self._lines + at

    cdef void delete(self, Py_ssize_t at):
        Py_XDECREF(self._lines[at].name)
        Py_XDECREF(self._lines[at].text)
        self._count -= 1
        memmove(self._lines + at, self._lines + at + 1, (self._count - at) * sizeof(Line))

    cdef int append_copy(self, Line* line) except -1:
        """Of a line of headers with the same source."""
        cdef Line* copy = self.insert(self._count)
        copy[0] = line[0]
        Py_XINCREF(copy.name)
        Py_XINCREF(copy.text)
        return 0

    cdef int write_line(self, Py_ssize_t at, int index, str name, str value) except -1:
        """Insert a line of ours before the line `at`."""
        cdef Line* line
        check_line(value)
        if index == UNKNOWN:
            name = checked_name(name)
        line = self.insert(at)
        line.index = index
        line.start = -1
        if index == UNKNOWN:
            Py_INCREF(name)
            line.name = <PyObject*>name
        Py_INCREF(value)
        line.text = <PyObject*>value
        self.version += 1
        return 0

    cdef str name_of(self, Line* line):
        cdef str name
        if line.index != UNKNOWN:
            return <str>NAMES[line.index]
        if line.name == NULL:
            name = text_of(<text_t>PyBytes_AS_STRING(self._source), line.start, line.name_end)
            Py_INCREF(name)
            line.name = <PyObject*>name
        return <str>line.name

    cdef str value_of(self, Line* line):
        cdef str value
        cdef text_t p
        cdef bytes whole
        if line.text == NULL:
            p = <text_t>PyBytes_AS_STRING(self._source)
            if line.is_folded:
                whole = unfolded(p, line.value, line.value_end)
                value = text_of(<text_t>PyBytes_AS_STRING(whole), 0, len(whole))
            else:
                value = text_of(p, line.value, line.value_end)
            Py_INCREF(value)
            line.text = <PyObject*>value
        return <str>line.text

    cdef object span_of(self, Line* line, Span* out):
        """The bytes of the value; they live as long as the object returned."""
        if line.start >= 0 and not line.is_folded:
            out.p = <text_t>PyBytes_AS_STRING(self._source)
            out.start = line.value
            out.end = line.value_end
            return self._source
        owner = pin(self.value_of(line), out)
        out.start = skip_space(out.p, out.start, out.end)
        out.end = trim_space(out.p, out.start, out.end)
        return owner

    cdef Py_ssize_t find_line(self, Py_ssize_t i, int index, str lowered) except -2:
        """The next line of this name from `i` on; -1 when there is none."""
        while i < self._count:
            if self._lines[i].index == index:
                if index != UNKNOWN or self.name_of(&self._lines[i]).lower() == lowered:
                    return i
            i += 1
        return -1

    cdef Py_ssize_t index_lines(self, bytes source, Py_ssize_t i, object limits) except -1:
        """Index the header lines from `i` on; returns where the body begins. What was read stays after an error."""
        cdef text_t p = <text_t>PyBytes_AS_STRING(source)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(source), stop, after
        cdef Py_ssize_t longest = limits.max_header_line, most = limits.max_headers
        self._source = source
        while True:
            stop = line_end(p, i, end, &after)
            if stop == i:
                return after
            if self._count == most:
                raise ParseError("too many header lines", offset=i)
            i = self.index_line(p, i, stop, after, end, longest)

    cdef Py_ssize_t index_line(
        self, text_t p, Py_ssize_t i, Py_ssize_t stop, Py_ssize_t after, Py_ssize_t end, Py_ssize_t longest
    ) except -1:
        """One header, with the lines that continue it; returns where the next begins."""
        cdef Py_ssize_t name_end = span(p, i, stop, TOKEN), colon = skip_space(p, name_end, stop)
        cdef bint is_folded = False
        cdef Line* line
        if name_end == i or colon == stop or p[colon] != 0x3A:
            raise ParseError("header line without a name", offset=i)
        while after < end and (p[after] == 0x20 or p[after] == 0x09):
            is_folded = True
            stop = line_end(p, after, end, &after)
        if stop - i > longest:
            raise ParseError("header line too long", offset=i)
        line = self.insert(self._count)
        line.index = HEADER_TABLE.lookup(p, i, name_end)
        line.start = i
        line.name_end = name_end
        line.value = skip_space(p, colon + 1, stop)
        line.value_end = trim_space(p, line.value, stop)
        line.end = stop
        line.is_folded = is_folded
        line.is_plain = not is_folded and after == stop + 2
        return after

    # The multi-map

    def get(self, str name not None, default=None):
        """The value of the first line, whole as sent, unfolded."""
        cdef int index = index_of(name)
        cdef Py_ssize_t i = self.find_line(0, index, None if index != UNKNOWN else name.strip(" \t").lower())
        return default if i < 0 else self.value_of(&self._lines[i])

    def lines(self, str name not None):
        """The value of each line as sent, comma lists not split."""
        cdef int index = index_of(name)
        cdef str lowered = None if index != UNKNOWN else name.strip(" \t").lower()
        cdef list values = []
        cdef Py_ssize_t i = self.find_line(0, index, lowered)
        while i >= 0:
            values.append(self.value_of(&self._lines[i]))
            i = self.find_line(i + 1, index, lowered)
        return values

    def get_all(self, str name not None):
        """Each value; comma lists are split where the header is a list (`sipcore.names.LISTS`)."""
        cdef int index = index_of(name)
        cdef Py_ssize_t i, start, stop
        cdef Span at
        cdef list values = []
        if index == UNKNOWN or not IS_LIST[index]:
            return self.lines(name)
        i = self.find_line(0, index, None)
        while i >= 0:
            owner = self.span_of(&self._lines[i], &at)
            while at.start < at.end:
                stop = element_end(at.p, at.start, at.end)
                start = skip_space(at.p, at.start, stop)
                at.start = stop + 1
                stop = trim_space(at.p, start, stop)
                if stop > start:
                    values.append(text_of(at.p, start, stop))
            i = self.find_line(i + 1, index, None)
        return values

    def add(self, str name not None, str value not None):
        """A new line after the others. Raises LocalProtocolError for text that would not stay on its line."""
        self.write_line(self._count, index_of(name), name, value)

    def prepend(self, str name not None, str value not None):
        """A new line before all others. Raises LocalProtocolError."""
        self.write_line(0, index_of(name), name, value)

    def set(self, str name not None, str value not None):
        """Replaces the first line in place and drops the others; appends when there is none.

        Raises LocalProtocolError.
        """
        cdef int index = index_of(name)
        cdef str lowered = None if index != UNKNOWN else name.strip(" \t").lower()
        cdef Py_ssize_t first = self.find_line(0, index, lowered), i
        if first < 0:
            self.write_line(self._count, index, name, value)
            return
        self.write_line(first, index, name, value)
        i = self.find_line(first + 1, index, lowered)
        while i >= 0:
            self.delete(i)
            i = self.find_line(i, index, lowered)

    def remove(self, str name not None):
        """Drops every line of this name, in whatever spelling."""
        cdef int index = index_of(name)
        cdef str lowered = None if index != UNKNOWN else name.strip(" \t").lower()
        cdef Py_ssize_t i = self.find_line(0, index, lowered)
        while i >= 0:
            self.delete(i)
            self.version += 1
            i = self.find_line(i, index, lowered)

    def items(self):
        """(canonical name, value) of each line."""
        cdef Py_ssize_t i
        return [(self.name_of(&self._lines[i]), self.value_of(&self._lines[i])) for i in range(self._count)]

    def copy(self):
        cdef Headers copy = Headers.__new__(Headers)
        cdef Py_ssize_t i
        copy._source = self._source
        for i in range(self._count):
            copy.append_copy(&self._lines[i])
        return copy

    def for_response(self, str to_tag=None):
        """Via, From, To, Call-ID and CSeq, what a response has of its request; `to_tag` goes to the To field."""
        cdef Headers copy = Headers.__new__(Headers)
        cdef Py_ssize_t i
        cdef int index
        copy._source = self._source
        for i in range(self._count):
            index = self._lines[i].index
            if index == VIA:
                copy.append_copy(&self._lines[i])
            elif index == FROM or index == TO or index == CALL_ID or index == CSEQ:
                if copy.find_line(0, index, None) >= 0:
                    continue  # a request that has two is refused; the response has one
                if index == TO and to_tag is not None:
                    copy.write_line(copy._count, TO, "To", f"{self.value_of(&self._lines[i])};tag={to_tag}")
                else:
                    copy.append_copy(&self._lines[i])
        return copy

    def __contains__(self, name):
        cdef int index
        if not isinstance(name, str):
            return False
        index = index_of(name)
        return self.find_line(0, index, None if index != UNKNOWN else name.strip(" \t").lower()) >= 0

    def __len__(self):
        return self._count

    def __eq__(self, other):
        return isinstance(other, Headers) and self.items() == other.items()

    __hash__ = None

    def __repr__(self):
        return f"Headers({self.items()!r})"

    cdef int put_lines(self, Buffer* out, Py_ssize_t length) except -1:
        """Every line, Content-Length with `length`. Neighbours that nobody changed are copied as one block."""
        cdef Py_ssize_t i, run = 0, run_end = 0
        cdef bint has_length = False
        cdef Line* line
        cdef text_t p = <text_t>b"" if self._source is None else <text_t>PyBytes_AS_STRING(self._source)
        for i in range(self._count):
            line = &self._lines[i]
            if line.index == CONTENT_LENGTH:
                if has_length:
                    continue
                has_length = True
            if line.is_plain and not (
                line.index == CONTENT_LENGTH and number(p, line.value, line.value_end, 999999999) != length
            ):
                if line.start != run_end:
                    put(out, p + run, run_end - run)
                    run = line.start
                run_end = line.end + 2
                continue
            put(out, p + run, run_end - run)
            run = run_end = 0
            put_text(out, self.name_of(line))
            put(out, <const char*>b": ", 2)
            put_text(out, str(length) if line.index == CONTENT_LENGTH else self.value_of(line))
            put(out, <const char*>b"\r\n", 2)
        put(out, p + run, run_end - run)
        if not has_length:
            put_text(out, f"Content-Length: {length}\r\n")
        return put(out, <const char*>b"\r\n", 2)


cdef int put_line(Buffer* out, Headers headers, Line* line) except -1:
    """One line as `put_lines` would write it."""
    if line.is_plain:
        return put(out, PyBytes_AS_STRING(headers._source) + line.start, line.end + 2 - line.start)
    return put_field(out, headers.name_of(line), headers.value_of(line))


cdef int put_field(Buffer* out, str name, str value) except -1:
    put_text(out, name)
    put(out, <const char*>b": ", 2)
    put_text(out, value)
    return put(out, <const char*>b"\r\n", 2)


cdef enum Field:
    VIAS
    FROM_FIELD
    TO_FIELD
    CSEQ_FIELD
    CONTACTS
    ROUTES
    RECORD_ROUTES
    FIELDS


cdef class Message:
    """What requests and responses share. A missing or broken field raises ParseError where it is asked for;

    a message out of `parse_message` has no broken ones.
    """

    cdef readonly Headers headers
    cdef public bytes body
    cdef list _fields
    cdef Py_ssize_t _version

    def __init__(self, headers=(), bytes body not None=b""):
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body

    cdef object field(self, Field which):
        """The field parsed, from the store until a header changes."""
        if self._fields is None or self._version != self.headers.version:
            self._fields = [None] * FIELDS
            self._version = self.headers.version
        value = self._fields[which]
        if value is None:
            value = self._fields[which] = self.read(which)
        return value

    cdef object read(self, Field which):
        cdef Span at
        if which == VIAS:
            return self.read_list(VIA)
        if which == CONTACTS:
            return self.read_list(CONTACT)
        if which == ROUTES:
            return self.read_list(ROUTE)
        if which == RECORD_ROUTES:
            return self.read_list(RECORD_ROUTE)
        owner = self.required(FROM if which == FROM_FIELD else TO if which == TO_FIELD else CSEQ, &at)
        if which == CSEQ_FIELD:
            return cseq_from(at.p, at.start, at.end)
        return name_addr_from(at.p, at.start, at.end)

    cdef object required(self, int index, Span* at):
        cdef Py_ssize_t i = self.headers.find_line(0, index, None)
        if i < 0:
            raise ParseError(f"no {NAMES[index]} header")
        return self.headers.span_of(&self.headers._lines[i], at)

    cdef tuple read_list(self, int index):
        cdef Span at
        cdef Py_ssize_t i = self.headers.find_line(0, index, None), start, stop, after
        cdef list values = []
        cdef bint is_star = False
        while i >= 0:
            owner = self.headers.span_of(&self.headers._lines[i], &at)
            while True:
                after = element_end(at.p, at.start, at.end)
                start = skip_space(at.p, at.start, after)
                stop = trim_space(at.p, start, after)
                if index == VIA:
                    values.append(via_from(at.p, start, stop))
                elif index == CONTACT and stop == start + 1 and at.p[start] == 0x2A:
                    is_star = True
                else:
                    values.append(name_addr_from(at.p, start, stop))
                if after >= at.end:
                    break
                at.start = after + 1
            i = self.headers.find_line(i + 1, index, None)
        if is_star and values:
            raise ParseError("Contact * beside other contacts")
        return tuple(values)

    cdef object count(self, int index, long long highest):
        cdef Span at
        cdef long long value
        cdef Py_ssize_t i = self.headers.find_line(0, index, None)
        if i < 0:
            return None
        owner = self.headers.span_of(&self.headers._lines[i], &at)
        value = number(at.p, at.start, at.end, highest)
        if value < 0:
            raise ParseError(f"bad {NAMES[index]}")
        return value

    @property
    def call_id(self):
        cdef Py_ssize_t i = self.headers.find_line(0, CALL_ID, None)
        if i < 0:
            raise ParseError("no Call-ID header")
        return self.headers.value_of(&self.headers._lines[i])

    @property
    def cseq(self):
        return self.field(CSEQ_FIELD)

    @property
    def from_(self):
        return self.field(FROM_FIELD)

    @property
    def to(self):
        return self.field(TO_FIELD)

    @property
    def via(self):
        """The topmost."""
        vias = <tuple>self.field(VIAS)
        if not vias:
            raise ParseError("no Via header")
        return vias[0]

    @property
    def vias(self):
        return list(<tuple>self.field(VIAS))

    @property
    def contact(self):
        """The first; None when there is none or it is `*`."""
        contacts = <tuple>self.field(CONTACTS)
        return contacts[0] if contacts else None

    @property
    def contacts(self):
        return list(<tuple>self.field(CONTACTS))

    @property
    def contact_is_star(self):
        return self.headers.get("Contact") == "*"

    @property
    def routes(self):
        return list(<tuple>self.field(ROUTES))

    @property
    def record_routes(self):
        return list(<tuple>self.field(RECORD_ROUTES))

    @property
    def max_forwards(self):
        return self.count(MAX_FORWARDS, 255)

    @property
    def expires(self):
        """RFC 3261 §10.2: who can't read it takes its default, so a broken one is None."""
        try:
            return self.count(EXPIRES, 4294967295)
        except ParseError:
            return None

    @property
    def content_type(self):
        """Type and subtype in lower case, without parameters."""
        cdef Py_ssize_t i = self.headers.find_line(0, CONTENT_TYPE, None)
        if i < 0:
            return None
        return self.headers.value_of(&self.headers._lines[i]).partition(";")[0].strip().lower()

    cdef str start_line(self):
        raise TypeError("a message is a Request or a Response")

    def to_bytes(self):
        """The message with its Content-Length computed. Raises LocalProtocolError when the start line is not one."""
        cdef Buffer out
        cdef str start = self.start_line()
        check_line(start)
        begin(&out)
        try:
            put_text(&out, start)
            put(&out, <const char*>b"\r\n", 2)
            self.headers.put_lines(&out, PyBytes_GET_SIZE(self.body))
            put(&out, PyBytes_AS_STRING(self.body), PyBytes_GET_SIZE(self.body))
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            PyMem_Free(out.heap)

    def __repr__(self):
        return f"<{type(self).__name__} {self.start_line()}>"


cdef class Request(Message):
    cdef public str method
    cdef readonly str uri_text
    cdef object _uri

    def __init__(self, str method not None, uri, headers=(), bytes body not None=b""):
        Message.__init__(self, headers, body)
        self.method = method
        self.uri = uri

    @property
    def uri(self):
        """The Request-URI; may be set to a Uri or its text. Raises ParseError."""
        cdef Span at
        if self._uri is None:
            owner = pin(self.uri_text, &at)
            self._uri = uri_from(at.p, at.start, at.end, self.uri_text)
        return self._uri

    @uri.setter
    def uri(self, value):
        self._uri = value if isinstance(value, UriFields) else None
        self.uri_text = str(value)

    def copy(self):
        return Request(self.method, self.uri_text if self._uri is None else self._uri, self.headers.copy(), self.body)

    cdef str start_line(self):
        return f"{self.method} {self.uri_text} SIP/2.0"

    def stamp_via(self, str value not None):
        """Put `value` in the place of the topmost Via; what else was parsed stays. Raises LocalProtocolError."""
        cdef Headers headers = self.headers
        cdef bint is_current = self._fields is not None and self._version == headers.version
        cdef Py_ssize_t i = headers.find_line(0, VIA, None), stop
        cdef Span at
        if i < 0:
            raise LocalProtocolError("no Via header")
        owner = headers.span_of(&headers._lines[i], &at)
        stop = element_end(at.p, at.start, at.end)
        if stop < at.end:
            value = f"{value}, {text_of(at.p, skip_space(at.p, stop + 1, at.end), at.end)}"
        headers.write_line(i, VIA, "Via", value)
        headers.delete(i + 1)
        if is_current:
            self._fields[VIAS] = None
            self._version = headers.version

    def response_bytes(self, int status, str reason, str to_tag, headers, bytes body not None):
        """What `response_to(self, …).to_bytes()` gives, without making the response: see there.

        Raises LocalProtocolError for text that would not stay on its line.
        """
        cdef Buffer out
        if reason is None:
            reason = REASONS.get(status, "")
        check_line(reason)
        begin(&out)
        try:
            put_text(&out, f"SIP/2.0 {status} {reason}\r\n")
            self.put_for_response(&out, to_tag if to_tag is not None and self.lacks_tag() else None)
            for name, value in headers:
                check_line(value)
                if index_of(name) != CONTENT_LENGTH:
                    put_field(&out, checked_name(name), value)
            put_text(&out, f"Content-Length: {PyBytes_GET_SIZE(body)}\r\n\r\n")
            put(&out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            PyMem_Free(out.heap)

    cdef int put_for_response(self, Buffer* out, str to_tag) except -1:
        """The lines of `Headers.for_response`."""
        cdef Headers headers = self.headers
        cdef Line* line
        cdef Py_ssize_t i
        for i in range(headers._count):
            line = &headers._lines[i]
            if line.index == VIA:
                put_line(out, headers, line)
            elif line.index == FROM or line.index == TO or line.index == CALL_ID or line.index == CSEQ:
                if headers.find_line(0, line.index, None) != i:
                    continue
                if line.index == TO and to_tag is not None:
                    put_field(out, "To", f"{headers.value_of(line)};tag={to_tag}")
                else:
                    put_line(out, headers, line)
        return 0

    cdef bint lacks_tag(self) except -1:
        """A To that cannot be read, or whose tag has no value, is sent back as it came."""
        try:
            return "tag" not in self.field(TO_FIELD).params
        except ParseError:
            return False


cdef class Response(Message):
    cdef public int status
    cdef public str reason

    def __init__(self, int status, str reason=None, headers=(), bytes body not None=b""):
        Message.__init__(self, headers, body)
        self.status = status
        self.reason = REASONS.get(status, "") if reason is None else reason

    def copy(self):
        return Response(self.status, self.reason, self.headers.copy(), self.body)

    cdef str start_line(self):
        return f"SIP/2.0 {self.status} {self.reason}"


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
