# Captures, read through windows.
import threading

from libc.errno cimport EBUSY
cimport cython

cdef extern from "core.h":
    struct ingest:
        pass
    struct ingest_iface:
        uint32_t linktype
        uint32_t snaplen
        uint64_t units
        char name[64]
    struct ingest_window:
        uint8_t *data
        size_t used
        uint32_t n
        uint64_t *offsets
        uint32_t *lengths
        uint32_t *wire_lengths
        uint64_t *times_ns
        uint32_t *ifaces
    int ingest_open(int fd, size_t window_nbytes, ingest **out, ebpf_error *err)
    void ingest_close(ingest *reader)
    ingest_window *ingest_window_new(const ingest *reader)
    void ingest_window_free(ingest_window *window)
    int ingest_next(ingest *reader, ingest_window *window, ebpf_error *err) nogil
    uint64_t ingest_position(const ingest *reader)
    int64_t ingest_truncated(const ingest *reader)
    uint32_t ingest_n_ifaces(const ingest *reader)
    const ingest_iface *ingest_iface_at "ingest_iface" (const ingest *reader, uint32_t i)
    const char *ingest_format(const ingest *reader)


cdef int signals() except -1:
    """Let handlers run; -1 with what they raised."""
    return PyErr_CheckSignals()


@cython.no_gc_clear
cdef class WindowBytes:
    """A window's packets; the memory goes back to its reader when nobody looks at it any more."""

    cdef ingest_window *window
    cdef list spare

    @property
    def count(self) -> int:
        return self.window.n

    def part(self, str name):
        """A read-only buffer of "data", "offsets", "lengths", "wire_lengths", "times_ns" or "ifaces"."""
        cdef WindowPart part = WindowPart.__new__(WindowPart)
        cdef ingest_window *w = self.window
        part.owner = self
        part.shape = w.n
        if name == "data":
            part.at, part.size, part.shape, part.format = <void *>w.data, 1, w.used, b"B"
        elif name == "offsets":
            part.at, part.size, part.format = <void *>w.offsets, 8, b"Q"
        elif name == "lengths":
            part.at, part.size, part.format = <void *>w.lengths, 4, b"I"
        elif name == "wire_lengths":
            part.at, part.size, part.format = <void *>w.wire_lengths, 4, b"I"
        elif name == "times_ns":
            part.at, part.size, part.format = <void *>w.times_ns, 8, b"Q"
        elif name == "ifaces":
            part.at, part.size, part.format = <void *>w.ifaces, 4, b"I"
        else:
            raise Error(EINVAL, f"part {name!r}, expected data, offsets, lengths, wire_lengths, times_ns or ifaces")
        return part

    def __dealloc__(self):
        if self.window == NULL:
            return
        if self.spare is not None and len(self.spare) < 2:
            free_window = SpareWindow.__new__(SpareWindow)
            (<SpareWindow>free_window).window = self.window
            self.spare.append(free_window)
        else:
            ingest_window_free(self.window)


cdef class SpareWindow:
    """A window that waits to be filled again."""

    cdef ingest_window *window

    def __dealloc__(self):
        ingest_window_free(self.window)


cdef class WindowPart:
    """One of a window's arrays, through the buffer protocol."""

    cdef WindowBytes owner
    cdef void *at
    cdef Py_ssize_t size
    cdef Py_ssize_t shape
    cdef bytes format

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("packets of a capture are read-only")
        buffer.buf = self.at
        buffer.obj = self
        buffer.len = self.shape * self.size
        buffer.itemsize = self.size
        buffer.readonly = 1
        buffer.ndim = 1
        buffer.format = PyBytes_AS_STRING(self.format) if flags & PyBUF_FORMAT else NULL
        buffer.shape = &self.shape
        buffer.strides = &self.size
        buffer.suboffsets = NULL
        buffer.internal = NULL


cdef class NativeCapture:
    """A pcap or pcapng capture on an fd, which stays the caller's; one thread at a time."""

    cdef ingest *reader
    cdef list spare
    cdef object lock

    def __cinit__(self, int fd, size_t window_nbytes):
        cdef ebpf_error err
        err.code = 0
        check(ingest_open(fd, window_nbytes, &self.reader, &err), &err)
        self.spare = []
        self.lock = threading.Lock()

    def __dealloc__(self):
        ingest_close(self.reader)

    def next(self):
        """The next packets, or None at the end; blocks on a pipe, without the GIL."""
        cdef WindowBytes out = WindowBytes.__new__(WindowBytes)
        cdef SpareWindow spare
        cdef ebpf_error err
        cdef int rc = -EINTR
        if not self.lock.acquire(False):
            raise Error(EBUSY, "another thread is reading this capture")
        try:
            if self.spare:
                spare = self.spare.pop()
                out.window, spare.window = spare.window, NULL
            else:
                out.window = ingest_window_new(self.reader)
            if out.window == NULL:
                raise MemoryError
            out.spare = self.spare
            err.code = 0
            while rc == -EINTR:
                with nogil:
                    rc = ingest_next(self.reader, out.window, &err)
                signals()
            check(rc, &err)
            return out if rc else None
        finally:
            self.lock.release()

    @property
    def position(self) -> int:
        """Bytes taken in."""
        return ingest_position(self.reader)

    @property
    def truncated(self) -> int:
        """Where the last record was cut off, -1: nowhere."""
        return ingest_truncated(self.reader)

    @property
    def format(self) -> str:
        return ingest_format(self.reader).decode()

    @property
    def interfaces(self) -> list:
        """(link type, snapshot length, name, time units in a second) of those seen so far."""
        cdef const ingest_iface *iface
        cdef uint32_t i
        out = []
        for i in range(ingest_n_ifaces(self.reader)):
            iface = ingest_iface_at(self.reader, i)
            name = bytes(<const char *>iface.name).decode("utf-8", "replace")
            out.append((iface.linktype, iface.snaplen, name, iface.units))
        return out
