# The buffer in which a message or its body is written.

# The stack first, the heap when it is larger.
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
