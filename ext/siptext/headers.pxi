# Headers, as offsets into the bytes of a message.

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

    cdef void let_go(self):
        """Of the text of lines that are in the source, and of room that was not used."""
        cdef Py_ssize_t i
        cdef Line* fitting
        for i in range(self._count):
            if self._lines[i].start >= 0:
                Py_XDECREF(self._lines[i].name)
                Py_XDECREF(self._lines[i].text)
                self._lines[i].name = self._lines[i].text = NULL
        if 0 < self._count < self._capacity:
            fitting = <Line*>PyMem_Realloc(self._lines, self._count * sizeof(Line))
            if fitting != NULL:
                self._lines = fitting
                self._capacity = self._count

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

    def has_element(self, str name not None, str element not None):
        """Whether one of `get_all` is this element, in whatever case."""
        cdef int index = index_of(name)
        cdef Py_ssize_t i, start, stop
        cdef Span at, wanted
        element = element.lower()
        if index == UNKNOWN or not IS_LIST[index]:
            return element in [value.lower() for value in self.lines(name)]
        asked = pin(element, &wanted)
        i = self.find_line(0, index, None)
        while i >= 0:
            owner = self.span_of(&self._lines[i], &at)
            while at.start < at.end:
                stop = element_end(at.p, at.start, at.end)
                start = skip_space(at.p, at.start, stop)
                at.start = stop + 1
                stop = trim_space(at.p, start, stop)
                if stop > start and same_lower(at.p, start, stop, <const char*>wanted.p, wanted.end):
                    return True
            i = self.find_line(i + 1, index, None)
        return False

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
