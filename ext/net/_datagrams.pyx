"""Datagrams of one UDP socket: read many with one system call, sent without a look at names.

What recvmmsg(2) gives of one batch is copied out at once; the room for it is taken once. A peer's address is turned
into a `Flow` when it is first heard, and that flow serves all that comes from there: bindings and transactions share it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.errno cimport errno
from libc.stdint cimport int64_t
from libc.string cimport strerror

from sipcore.flow import Address, Flow

cdef extern from "datagrams.h" nogil:
    enum:
        BATCH
        LARGEST_DATAGRAM
        LITERAL_SIZE
    ctypedef struct Room:
        pass
    ctypedef struct Peer:
        size_t size
    void room_open(Room* room, char* space)
    int room_fill(Room* room, int fd)
    const char* room_data(const Room* room, int index, Py_ssize_t* size)
    const char* room_key(const Room* room, int index, Py_ssize_t* size)
    int room_literal(const Room* room, int index, char* text)
    int peer_of(Peer* peer, const char* host, int port, int v6)
    int peer_send(int fd, const Peer* peer, const char* data, size_t size)
    enum:
        GATHERED
    ctypedef struct Gathered:
        unsigned end
    int gathered_put(Gathered* gathered, const Peer* peer, const char* data, size_t size)
    int gathered_send(Gathered* gathered, int fd)
    int alarm_open()
    int alarm_set(int fd, int64_t nanoseconds)

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)

# The most that one `receive` takes.
MOST_AT_ONCE = BATCH

# Peers whose flow, or whose address for the kernel, is kept. All are forgotten when there are more: a flood of forged
# addresses then costs each phone one more look.
cdef Py_ssize_t MAX_PEERS = 16384


cdef class Alarm:
    """A timer whose descriptor is readable once its time has come; timers of event loops count whole milliseconds."""

    cdef int _fd

    def __cinit__(self):
        self._fd = alarm_open()
        if self._fd < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        self.close()

    def fileno(self):
        """The descriptor; -1 when it is closed."""
        return self._fd

    def set(self, int64_t nanoseconds):
        """Readable so many nanoseconds from now, and not before; 0 is never."""
        if alarm_set(self._fd, nanoseconds) < 0:
            PyErr_SetFromErrno(OSError)

    cpdef close(self):
        """Close the descriptor."""
        if self._fd >= 0:
            c_close(self._fd)
        self._fd = -1


cdef class DatagramSocket:
    """Reads from and writes to the socket `fd`, which stays its owner's; `local` is its address."""

    cdef int _fd
    cdef bint _v6
    cdef object _local
    cdef Room* _room
    cdef char* _space
    cdef dict _flows
    cdef dict _peers
    cdef Gathered* _gathered
    cdef list _kept

    def __cinit__(self, int fd, local):
        self._fd = fd
        self._local = local
        self._v6 = ":" in local.host
        self._flows = {}
        self._peers = {}
        self._room = <Room*>PyMem_Malloc(sizeof(Room))
        self._space = <char*>PyMem_Malloc(BATCH * LARGEST_DATAGRAM)
        self._gathered = <Gathered*>PyMem_Calloc(1, sizeof(Gathered))
        self._kept = []
        if self._room is NULL or self._space is NULL or self._gathered is NULL:
            raise MemoryError
        room_open(self._room, self._space)

    def __dealloc__(self):
        PyMem_Free(self._room)
        PyMem_Free(self._space)
        PyMem_Free(self._gathered)

    def receive(self):
        """The datagrams that wait, at most a batch of them, each with the flow it came on; empty when none waits.

        Raises: OSError, for an ICMP error among others.
        """
        cdef int index, count = room_fill(self._room, self._fd)
        cdef Py_ssize_t size = 0
        cdef const char* data
        cdef list found = []
        if count < 0:
            PyErr_SetFromErrno(OSError)
        for index in range(count):
            data = room_data(self._room, index, &size)
            found.append((PyBytes_FromStringAndSize(data, size), self._flow(index)))
        return found

    def send(self, bytes data not None, remote):
        """Send one datagram to `remote`, an `Address`. Raises: OSError; BlockingIOError when there is no room."""
        cdef bytes peer = self._peer(remote)
        if peer_send(self._fd, <const Peer*>PyBytes_AS_STRING(peer), PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) < 0:
            PyErr_SetFromErrno(OSError)

    def put(self, bytes data not None, flow):
        """Keep one datagram to the remote of `flow` for `flush`, which is due when this is true.

        Raises: OSError; BufferError when it was due before.
        """
        remote = flow.remote
        if self._gathered.end >= GATHERED:
            raise BufferError("no room: flush was due")
        cdef bytes peer = self._peer(remote)
        self._kept.append((flow, data, peer))
        cdef const Peer* to = <const Peer*>PyBytes_AS_STRING(peer)
        return bool(gathered_put(self._gathered, to, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)))

    def flush(self):
        """Send what was kept: None, or flow, data and error of the first that cannot be sent; the others then wait on."""
        cdef int index = gathered_send(self._gathered, self._fd)
        if index < 0:
            self._kept.clear()
            return None
        number = errno
        flow, data, _ = self._kept[index]
        return flow, data, OSError(number, strerror(number).decode())

    def close(self):
        """The socket is going to be closed: its number may soon be somebody else's."""
        self._fd = -1

    cdef object _flow(self, int index):
        cdef Py_ssize_t size = 0
        cdef char[LITERAL_SIZE] text
        cdef const char* key = room_key(self._room, index, &size)
        cdef bytes name = PyBytes_FromStringAndSize(key, size)
        flow = self._flows.get(name)
        if flow is None:
            port = room_literal(self._room, index, text)
            flow = Flow("UDP", self._local, Address((<bytes>text).decode("ascii"), port))
            if len(self._flows) >= MAX_PEERS:
                self._flows.clear()
            self._flows[name] = flow
        return flow

    cdef bytes _peer(self, remote):
        known = self._peers.get(remote)
        if known is not None:
            return <bytes>known
        cdef Peer peer
        cdef bytes host = remote.host.encode("ascii", "replace")
        if peer_of(&peer, host, remote.port, self._v6) < 0:
            raise OSError(f"no address of this socket's family: {remote.host}")
        cdef bytes made = PyBytes_FromStringAndSize(<const char*>&peer, sizeof(Peer))
        if len(self._peers) >= MAX_PEERS:
            self._peers.clear()
        self._peers[remote] = made
        return made
