# Challenges and credentials (RFC 3261 §25.1, RFC 7616).


def parse_auth(str text not None):
    """(scheme, {name: value}) of a challenge or credentials; values without their quotes. Raises ParseError."""
    cdef Span at
    cdef Py_ssize_t i, stop
    cdef dict params = {}
    cdef str name, scheme
    owner = pin_trimmed(text, &at)
    i = span(at.p, at.start, at.end, TOKEN)
    if i == at.start:
        raise ParseError("no authentication scheme")
    scheme = text_of(at.p, at.start, i)
    i = skip_space(at.p, i, at.end)
    while i < at.end:
        stop = span(at.p, i, at.end, TOKEN)
        name = text_of(at.p, i, stop).lower()
        i = skip_space(at.p, stop, at.end)
        if not name or i >= at.end or at.p[i] != 0x3D:
            raise ParseError("bad authentication parameter")
        i = skip_space(at.p, i + 1, at.end)
        if i < at.end and at.p[i] == 0x22:
            stop = quoted_end(at.p, i, at.end)
            if stop < 0:
                raise ParseError("unterminated quoted string")
            value = unquoted(at.p, i + 1, stop - 1)
        else:
            stop = span(at.p, i, at.end, VALUE)
            value = text_of(at.p, i, stop)
        if name in params:
            raise ParseError("authentication parameter twice")
        params[name] = value
        i = skip_space(at.p, stop, at.end)
        if i < at.end and at.p[i] != 0x2C:
            raise ParseError("bad authentication parameter")
        while i < at.end and (at.p[i] == 0x2C or at.p[i] == 0x20 or at.p[i] == 0x09):
            i += 1
    return scheme, params


cdef inline bint is_digest_name(Py_UCS4 c) noexcept:
    return (
        c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9'
        or c == c'_' or c == c'-' or c == c'.' or c == c'!' or c == c'%' or c == c'*' or c == c'+' or c == c'`'
        or c == c"'" or c == c'~'
    )


def digest_params(str text not None, Py_ssize_t start):
    """{name in lower case: value} of plain digest parameters from `start` on; None for anything but the plain form.

    Plain is what phones write: ASCII, `name=token` or `name="no backslash"`, one comma between two, no name twice. The
    rest is for the tolerant reader of `sipcore.auth`, which gives the same for this.
    """
    cdef Py_ssize_t i = start, end = len(text), begun
    cdef Py_UCS4 c
    cdef dict params = {}
    cdef str name, value
    if not text.isascii():
        return None
    while i < end:
        while i < end and (text[i] == c' ' or text[i] == c'\t'):
            i += 1
        begun = i
        while i < end and is_digest_name(text[i]):
            i += 1
        if i == begun or i >= end or text[i] != c'=' or i + 1 >= end:
            return None
        name = text[begun:i].lower()
        i += 1
        if text[i] == c'"':
            i += 1
            begun = i
            while i < end and text[i] != c'"':
                if text[i] == c'\\':
                    return None
                i += 1
            if i >= end:
                return None
            value = text[begun:i]
            i += 1
        else:
            begun = i
            while i < end:
                c = text[i]
                if c == c',' or c == c' ' or c == c'\t':
                    break
                if c == c'"' or c < 0x20 or c == 0x7F:
                    return None
                i += 1
            value = text[begun:i]
        if name in params:
            return None
        params[name] = value
        while i < end and (text[i] == c' ' or text[i] == c'\t'):
            i += 1
        if i < end:
            if text[i] != c',' or i + 1 >= end:
                return None
            i += 1
    return params
