# Event sources and the pumps that drain them.
cdef extern from "core.h":
    struct pump_stats:
        uint64_t events
        uint64_t kept
        uint64_t lost
        uint64_t failed
    struct event_source:
        pass
    struct ebpf_pump:
        pass
    struct perf_arg:
        uint16_t offset
        uint8_t size
        bint is_signed
    struct perf_source_desc:
        const int *fds
        uint32_t n_fds
        uint32_t pages
        bint callchain
        bint raw_args
        perf_arg args[12]
    int pump_start(event_source *source, ebpf_prog *prog, ebpf_pump **out, ebpf_error *err)
    void pump_stop(ebpf_pump *pump) nogil
    void pump_free(ebpf_pump *pump) nogil
    void pump_replace(ebpf_pump *pump, ebpf_prog *prog) nogil
    int pump_error(const ebpf_pump *pump)
    void pump_stats_read(const ebpf_pump *pump, pump_stats *out)
    int perf_source_create(const perf_source_desc *desc, event_source **out, ebpf_error *err)
    int sock_source_create(int fd, size_t queue_bytes, event_source **out, ebpf_error *err)
    int64_t sock_source_recv(event_source *source, void *buf, size_t nbytes)
    int sock_source_fd(const event_source *source)


cdef class NativePump:
    """A native thread that runs a program on each record of an event source, until stop()."""

    cdef ebpf_pump *pump
    cdef event_source *source
    cdef pump_stats last
    cdef int last_error
    cdef bint is_socket

    @staticmethod
    def perf(NativeProg prog, list fds, *, int pages, bint callchain=False, list args=None):
        """Trace points: `fds` of perf events are taken over; args: (offset, size, signed) of raw_tracepoint's."""
        cdef perf_source_desc desc
        cdef ebpf_error err
        cdef int c_fds[1024]
        cdef NativePump self = NativePump.__new__(NativePump)
        if len(fds) > 1024 or (args is not None and len(args) > 12):
            raise Error(7, f"{len(fds)} perf events, at most 1024; arguments at most 12")
        for i, fd in enumerate(fds):
            c_fds[i] = fd
        memset(&desc, 0, sizeof(desc))
        err.code = 0
        desc.fds = c_fds
        desc.n_fds = len(fds)
        desc.pages = pages
        desc.callchain = callchain
        desc.raw_args = args is not None
        for i, (offset, size, is_signed) in enumerate(args or ()):
            desc.args[i].offset = offset
            desc.args[i].size = size
            desc.args[i].is_signed = is_signed
        check(perf_source_create(&desc, &self.source, &err), &err)
        check(pump_start(self.source, prog.prog, &self.pump, &err), &err)
        return self

    @staticmethod
    def socket(NativeProg prog, int fd, *, size_t queue_bytes):
        """A packet socket of the caller's, as long as it is open."""
        cdef ebpf_error err
        cdef NativePump self = NativePump.__new__(NativePump)
        err.code = 0
        check(sock_source_create(fd, queue_bytes, &self.source, &err), &err)
        check(pump_start(self.source, prog.prog, &self.pump, &err), &err)
        self.is_socket = True
        return self

    def stats(self) -> dict:
        """Counters: events, kept, lost, failed."""
        if self.pump != NULL:
            pump_stats_read(self.pump, &self.last)
        return {"events": self.last.events, "kept": self.last.kept, "lost": self.last.lost, "failed": self.last.failed}

    @property
    def error(self) -> int:
        """The errno that ended the thread, 0 while it lives."""
        return -pump_error(self.pump) if self.pump != NULL else self.last_error

    def recv(self, size_t nbytes=65536):
        """The oldest kept frame, None when none waits."""
        cdef bytes buf
        cdef int64_t n
        if self.pump == NULL or not self.is_socket:
            return None
        buf = PyBytes_FromStringAndSize(NULL, nbytes)
        n = sock_source_recv(self.source, <char *>buf, nbytes)
        if n == -11:
            return None
        check(<int>n, NULL)
        return buf[:n]

    def fileno(self) -> int:
        """Readable while a kept frame waits."""
        return sock_source_fd(self.source) if self.pump != NULL and self.is_socket else -1

    def replace(self, NativeProg prog) -> None:
        """Put another program in its place; no record is lost."""
        cdef ebpf_prog *other = prog.prog
        if self.pump == NULL:
            raise Error(67, "the pump has ended")
        with nogil:
            pump_replace(self.pump, other)

    def stop(self) -> None:
        """Drain what the source holds now and end the thread; again is nothing."""
        cdef ebpf_pump *pump = self.pump
        if pump == NULL:
            return
        self.pump = NULL
        with nogil:
            pump_stop(pump)
        pump_stats_read(pump, &self.last)
        self.last_error = -pump_error(pump)
        with nogil:
            pump_free(pump)

    def __dealloc__(self):
        if self.pump != NULL:
            with nogil:
                pump_stop(self.pump)
                pump_free(self.pump)
