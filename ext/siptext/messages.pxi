# Messages: their fields become objects where they are asked for, and stay until a header changes.

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

    def let_go(self):
        """Keep the bytes only: what was parsed of them, a few kB, is parsed again when somebody asks for it."""
        self._fields = None
        self.headers.let_go()

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

    def server_key(self, str method not None):
        """What retransmissions of this request have in common; `method` is INVITE for the ACK and the CANCEL to one.

        RFC 3261 §17.2.3: branch, sent-by and method. Without the magic cookie the branch is not unique, and the
        fields of RFC 2543 decide; the To tag is left out, since an ACK has the one of our response.
        """
        cdef ViaFields via = self.via
        branch = via.params.get("branch")
        if branch is not None and len(branch) > 7 and (<str>branch).startswith("z9hG4bK"):
            return branch, via.host, via.port, method
        return self.uri_text, self.from_.tag, self.call_id, self.cseq[0], via.host, via.port, branch, method

    def stamp_source(self, str host not None, port):
        """Say in the topmost Via where the request came from: `received` and `rport`, where they have to be said.

        RFC 3261 §18.2.1: `received` when sent-by is not the source address; RFC 3581 §4: both, even when equal, when
        `rport` was asked for. What the sender wrote there itself does not survive. Raises ParseError for a broken Via.
        """
        cdef ViaFields via = self.via
        cdef bint asked = "rport" in via.params, was_received = "received" in via.params
        cdef bint is_foreign = host != via.host.strip("[]")
        cdef str text
        if not (asked or is_foreign or was_received):
            return
        text = self.headers.get_all("Via")[0]
        if asked and not was_received and text.endswith(";rport"):
            # What nearly every client sends: nothing to take out.
            self.stamp_via(f"{text}={port};received={host}")
            return
        pieces = [text.partition(";")[0].strip()]
        for name, value in via.params.items():
            if name != "received" and name != "rport":
                pieces.append(name if value is None else f"{name}={value}")
        if asked:
            pieces.append(f"rport={port}")
        if asked or is_foreign:
            pieces.append(f"received={host}")
        self.stamp_via(";".join(pieces))

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
