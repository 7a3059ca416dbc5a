# Programs.
cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_SIMPLE,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    Py_buffer,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.errno cimport EDQUOT, EINTR, ENOMEM
from libc.stdlib cimport calloc, free

cdef extern from "Python.h":
    int PyErr_CheckSignals()
    int PyErr_CheckSignals_ "PyErr_CheckSignals" () except -1
    void *PyErr_Occurred()

cdef extern from "core.h":
    enum:
        PROG_NEEDS_BUDGET
        PROG_WRITES_CTX
        EBPF_MAX_INSNS
    struct ebpf_insn:
        pass
    struct insn_fact:
        pass
    struct ebpf_subprog:
        uint32_t start
        uint32_t stack_depth
        bint is_callback
    struct ebpf_prog_desc:
        const ebpf_insn *insns
        uint32_t n_insns
        const insn_fact *facts
        const ebpf_subprog *subprogs
        uint32_t n_subprogs
        ebpf_map **maps
        uint32_t n_maps
        uint32_t type
        uint32_t flags
        uint64_t max_insns
        char name[16]
    struct prog_batch:
        const uint8_t *base
        const uint64_t *offsets
        const uint32_t *lengths
        uint64_t stride
        uint64_t row
        uint64_t n
        uint64_t *retvals
        uint32_t *retvals32
        uint8_t *out
        uint64_t out_width
        uint32_t *out_lengths
    struct prog_test:
        const void *data
        size_t nbytes
        const void *ctx
        size_t ctx_nbytes
        uint32_t repeat
        uint64_t retval
        uint64_t duration_ns
        uint8_t *out
        size_t out_nbytes
        uint8_t *ctx_out
    int prog_create(const ebpf_prog_desc *desc, int engine, ebpf_prog **out, ebpf_error *err) nogil
    void prog_put(ebpf_prog *prog) nogil
    int prog_run_packet(ebpf_prog *prog, const void *data, size_t nbytes, bint wait, uint64_t *retval) nogil
    int prog_test_run(ebpf_prog *prog, prog_test *test, ebpf_error *err) nogil
    void prog_test_free(prog_test *test) nogil
    uint64_t prog_batch_check(const prog_batch *batch, uint64_t size) nogil
    int prog_run_batch(ebpf_prog *prog, const prog_batch *batch, uint32_t threads, uint64_t *failed) nogil
    int prog_entry(ebpf_prog *prog, bint raw, uint64_t *address, ebpf_error *err) nogil
    void prog_stats_enable(bint on) nogil
    size_t trace_read_c "trace_read" (char *buf, uint64_t timeout_ns) nogil
    uint32_t ebpf_nr_vcpus() nogil
    void ebpf_set_signal_check(int (*check)() noexcept nogil) nogil


# Runs of at most so many instructions keep the GIL: giving it up costs more.
cdef enum:
    SHORT_RUN = 4096


cdef int signal_check() noexcept nogil:
    """Asked by long runs: non-zero ends the run, with the handler's exception set in this thread."""
    with gil:
        return PyErr_CheckSignals()


ebpf_set_signal_check(signal_check)


cdef int run_ended(int rc, str where) except -1:
    """Raise for a run that ended early."""
    if rc == -EINTR and PyErr_Occurred() != NULL:
        return -1
    if rc == -EDQUOT:
        raise Error(EDQUOT, f"{where}: the budget of back edges and calls is used up")
    if rc == -EINVAL:
        raise Error(EINVAL, f"{where}: the context is shorter than what the program looks at")
    if rc == -ENOMEM:
        raise Error(ENOMEM, f"{where}: no memory")
    raise Error(-rc, f"{where}: the run ended early")


cdef class NativeProg:
    """A program ready to run; made only from an image that came out of the verifier (or `unsafe`).

    image: 8 bytes an instruction. facts: 8 bytes an instruction, or None. subprogs: (start, stack depth,
    is callback) each. maps: NativeMap each, by the index that the image has. engine: 0 interpreter, 1 JIT.
    """

    cdef ebpf_prog *prog
    cdef bint keep_gil
    cdef bint unverified
    cdef readonly str name
    cdef readonly tuple maps
    cdef readonly uint64_t max_insns

    def __cinit__(
        self,
        const uint8_t[::1] image,
        const uint8_t[::1] facts=None,
        *,
        uint32_t type,
        uint32_t flags=0,
        subprogs=(),
        maps=(),
        uint64_t max_insns=0,
        str name="",
        int engine=0,
    ):
        cdef ebpf_prog_desc desc
        cdef ebpf_error err
        cdef bytes raw = name.encode()[:15]
        cdef Py_ssize_t i
        cdef int rc
        if image.shape[0] % 8 or image.shape[0] // 8 > EBPF_MAX_INSNS:
            raise Error(EINVAL, f"image is {image.shape[0]} bytes, expected a multiple of 8 up to {8 * EBPF_MAX_INSNS}")
        if facts is not None and facts.shape[0] != image.shape[0]:
            raise Error(EINVAL, f"facts are {facts.shape[0]} bytes, expected {image.shape[0]} as the image")
        if engine not in (0, 1):
            raise Error(EINVAL, f"engine {engine}, expected 0 (interpreter) or 1 (JIT)")
        memset(&desc, 0, sizeof(desc))
        self.maps, self.name = tuple(maps), name
        subprogs = tuple(subprogs)
        cdef ebpf_subprog *c_subprogs = <ebpf_subprog *>calloc(len(subprogs) + 1, sizeof(ebpf_subprog))
        cdef ebpf_map **c_maps = <ebpf_map **>calloc(len(self.maps) + 1, sizeof(ebpf_map *))
        try:
            if c_subprogs == NULL or c_maps == NULL:
                raise MemoryError
            for i, (start, depth, is_callback) in enumerate(subprogs):
                c_subprogs[i] = ebpf_subprog(start, depth, is_callback)
            for i, native_map in enumerate(self.maps):
                c_maps[i] = (<NativeMap?>native_map).map
            desc.insns = <const ebpf_insn *>(&image[0] if image.shape[0] else NULL)
            desc.n_insns = <uint32_t>(image.shape[0] // 8)
            desc.facts = <const insn_fact *>(&facts[0] if facts is not None and facts.shape[0] else NULL)
            desc.subprogs, desc.n_subprogs = c_subprogs, <uint32_t>len(subprogs)
            desc.maps, desc.n_maps = c_maps, <uint32_t>len(self.maps)
            desc.type, desc.flags, desc.max_insns = type, flags, max_insns
            memcpy(desc.name, <const char *>raw, len(raw))
            err.code = 0
            with nogil:
                rc = prog_create(&desc, engine, &self.prog, &err)
            check(rc, &err)
        finally:
            free(c_subprogs)
            free(c_maps)
        self.unverified = flags & PROG_NEEDS_BUDGET
        self.max_insns = self.prog.max_insns
        self.keep_gil = not self.unverified and 0 < self.max_insns <= SHORT_RUN

    def __dealloc__(self):
        if self.prog != NULL:
            with nogil:
                prog_put(self.prog)

    cdef uint64_t run_at(self, const void *data, size_t nbytes) except? 0xdead:
        cdef uint64_t retval = 0
        cdef int rc
        if self.keep_gil:
            rc = prog_run_packet(self.prog, data, nbytes, False, &retval)
        if not self.keep_gil or rc == -EAGAIN:
            with nogil:
                rc = prog_run_packet(self.prog, data, nbytes, True, &retval)
        if rc:
            run_ended(rc, f"program {self.name or '?'}")
        return retval

    @cython.binding(False)  # a plain METH_O, which the interpreter calls directly
    def run(self, data, /) -> int:
        """One run: over a packet, over the bytes of a context, or (unverified) on the memory itself.

        32 bits of R0 are what a verified program returns; an unverified one returns all 64. An unverified
        program on read-only memory gets a copy of it.
        """
        cdef Py_buffer view
        cdef uint64_t retval
        if PyBytes_CheckExact(data) and not self.unverified:
            return <uint32_t>self.run_at(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        if self.unverified and view.readonly:
            PyBuffer_Release(&view)
            data = bytearray(data)
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            retval = self.run_at(view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        return retval if self.unverified else <uint32_t>retval

    def run_raw(self) -> int:
        """One run with r1 = r2 = 0 of a program that looks at no context; all 64 bits of R0."""
        return self.run_at(NULL, 0)

    def test_run(self, data=b"", ctx=None, uint32_t repeat=1):
        """PROG_TEST_RUN: (retval, data_out, ctx_out, duration_ns)."""
        cdef prog_test test
        cdef ebpf_error err
        cdef bytes data_bytes = bytes(data)
        cdef bytes ctx_bytes = b"" if ctx is None else bytes(ctx)
        cdef int rc
        memset(&test, 0, sizeof(test))
        test.data, test.nbytes = PyBytes_AS_STRING(data_bytes), len(data_bytes)
        if ctx is not None:
            test.ctx, test.ctx_nbytes = PyBytes_AS_STRING(ctx_bytes), len(ctx_bytes)
        test.repeat = repeat
        err.code = 0
        with nogil:
            rc = prog_test_run(self.prog, &test, &err)
        try:
            if rc and err.code != rc:
                run_ended(rc, f"program {self.name or '?'}")
            check(rc, &err)
            out = PyBytes_FromStringAndSize(<char *>test.out, test.out_nbytes) if test.out != NULL else b""
            ctx_out = PyBytes_FromStringAndSize(<char *>test.ctx_out, test.ctx_nbytes) if test.ctx_out != NULL else b""
            return test.retval, out, ctx_out, test.duration_ns
        finally:
            prog_test_free(&test)

    def run_batch(self, batch, offsets=None, lengths=None, *, int threads=1, out=None, out_lengths=None):
        """Run over many events in one native call without the GIL; return values in an array.

        batch: a sequence of bytes-like packets or contexts; or a buffer of rows (2-D uint8, or 1-D of any
        items), `lengths` (uint32) bounding each; or, with `offsets` (uint64) and `lengths`, one contiguous
        buffer that holds them. out: a writable (n, width) uint8 array that gets what each run left of its packet
        (of a flow dissector: its 56 bytes of keys), cut to fit; out_lengths: n uint32, the lengths before that.
        Verified programs give uint32, unverified ones uint64. A run that ends early ends the batch.
        """
        import numpy as np

        cdef prog_batch job
        cdef list views = []
        cdef uint64_t failed = 0
        cdef uint64_t size = 0
        cdef int rc
        cdef uint32_t c_threads = <uint32_t>threads
        if threads < 1 or threads > 1024:
            raise Error(EINVAL, f"threads is {threads}, expected 1 to 1024")
        memset(&job, 0, sizeof(job))
        batch, offsets, lengths = batch_arrays(np, batch, offsets, lengths)
        fill_batch(&job, &size, views, batch, offsets, lengths)
        results = np.zeros(job.n, dtype=np.uint64 if self.unverified else np.uint32)
        if self.unverified:
            job.retvals = <uint64_t *>hold(views, results, job.n * 8, "results")
        else:
            job.retvals32 = <uint32_t *>hold(views, results, job.n * 4, "results")
        if out is not None:
            job.out_width = memoryview(out).shape[1]
            job.out = <uint8_t *>hold(views, out, job.n * job.out_width, "out")
        if out_lengths is not None:
            job.out_lengths = <uint32_t *>hold(views, out_lengths, job.n * 4, "out_lengths")
        with nogil:
            failed = prog_batch_check(&job, size)
        if failed < job.n:
            raise Error(EINVAL, f"event {failed} does not lie inside the {size} bytes given")
        with nogil:
            rc = prog_run_batch(self.prog, &job, c_threads, &failed)
        if rc:
            run_ended(rc, f"program {self.name or '?'}, event {failed}")
        return results

    cdef uint64_t entry_address(self, bint raw) except 0:
        cdef ebpf_error err
        cdef uint64_t address = 0
        cdef int rc
        err.code = 0
        with nogil:
            rc = prog_entry(self.prog, raw, &address, &err)
        check(rc, &err)
        return address

    @property
    def entry(self) -> int:
        """Address of uint64_t (*)(void *r1, uint64_t r2): a whole, guarded run; 0 when it ended early."""
        return self.entry_address(False)

    @property
    def entry_raw(self) -> int:
        """Address of the compiled function itself, for programs without helpers."""
        return self.entry_address(True)

    @property
    def engine(self) -> str:
        return "jit" if self.prog.engine else "interp"

    @property
    def jited(self) -> bytes:
        """The machine code; empty under the interpreter."""
        if self.prog.jit.code == NULL:
            return b""
        return PyBytes_FromStringAndSize(<const char *>self.prog.jit.code, self.prog.jit.code_nbytes)

    @property
    def type(self) -> int:
        return self.prog.type

    @property
    def flags(self) -> int:
        return self.prog.flags

    @property
    def min_ctx(self) -> int:
        """Bytes of a raw context that the program looks at."""
        return self.prog.min_ctx

    @property
    def run_cnt(self) -> int:
        """Runs counted while statistics were on."""
        return self.prog.run_cnt

    @property
    def run_time_ns(self) -> int:
        return self.prog.run_time_ns

    @property
    def budget(self) -> int:
        """Back edges and calls of one run of an unverified program."""
        return self.prog.budget

    @budget.setter
    def budget(self, uint64_t budget):
        self.prog.budget = budget


cdef class HeldBuffer:
    """A buffer held until this object goes."""

    cdef Py_buffer view
    cdef bint held

    def __cinit__(self, obj, int flags=PyBUF_SIMPLE):
        PyObject_GetBuffer(obj, &self.view, flags)
        self.held = True

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef void *hold(list views, obj, uint64_t nbytes, str name) except NULL:
    """The memory of a writable, contiguous buffer of exactly `nbytes`, kept by `views`."""
    cdef HeldBuffer held = HeldBuffer(obj, PyBUF_WRITABLE)
    views.append(held)
    if <uint64_t>held.view.len != nbytes:
        raise Error(EINVAL, f"{name} has {held.view.len} bytes, expected {nbytes}")
    return held.view.buf


cdef tuple batch_arrays(np, batch, offsets, lengths):
    """(batch, offsets, lengths) with a sequence of buffers turned into addresses, and arrays of the right type."""
    cdef Py_ssize_t i
    cdef Py_ssize_t n
    if not PyObject_CheckBuffer(batch):
        batch = [HeldBuffer(item) for item in batch]
        n = len(batch)
        starts = np.empty(n, dtype=np.uint64)
        sizes = np.empty(n, dtype=np.uint32)
        fill_list(batch, starts, sizes)
        return batch, starts, sizes
    if offsets is not None:
        offsets = np.ascontiguousarray(offsets, dtype=np.uint64)
        if lengths is None or len(lengths) != len(offsets):
            raise Error(EINVAL, "offsets want as many lengths")
    if lengths is not None:
        lengths = np.ascontiguousarray(lengths, dtype=np.uint32)
    return batch, offsets, lengths


cdef int fill_list(list items, uint64_t[::1] starts, uint32_t[::1] sizes) except -1:
    cdef Py_ssize_t i
    cdef HeldBuffer held
    for i in range(len(items)):
        held = items[i]
        if held.view.len > 0xFFFFFFFF:
            raise Error(EINVAL, f"event {i} is {held.view.len} bytes, expected less than 4 GiB")
        starts[i] = <uint64_t><size_t>held.view.buf
        sizes[i] = <uint32_t>held.view.len
    return 0


cdef int fill_batch(prog_batch *job, uint64_t *size, list views, batch, offsets, lengths) except -1:
    """Fill *job; *size bounds the memory its events lie in. `views` keeps the buffers."""
    cdef HeldBuffer held
    cdef Py_ssize_t row
    if isinstance(batch, list):
        views.extend(batch)
        size[0] = 0xFFFFFFFFFFFFFFFF
    else:
        held = HeldBuffer(batch, PyBUF_STRIDES if offsets is None else PyBUF_SIMPLE)
        views.append(held)
        job.base = <const uint8_t *>held.view.buf
        size[0] = held.view.len
    if offsets is not None:
        held = HeldBuffer(offsets)
        views.append(held)
        job.offsets, job.n = <const uint64_t *>held.view.buf, held.view.len // 8
    else:
        row = held.view.itemsize
        if held.view.ndim == 2:
            row *= held.view.shape[1]
            if held.view.strides[1] != held.view.itemsize:
                raise Error(EINVAL, "rows are not contiguous")
        if not 1 <= held.view.ndim <= 2 or held.view.strides[0] < row:
            raise Error(EINVAL, "batch is not an array of rows")
        job.n, job.stride = held.view.shape[0], held.view.strides[0]
        job.row = row
        size[0] = job.stride * job.n
    if lengths is not None:
        held = HeldBuffer(lengths)
        views.append(held)
        if <uint64_t>(held.view.len // 4) != job.n:
            raise Error(EINVAL, f"{held.view.len // 4} lengths, expected {job.n}")
        job.lengths = <const uint32_t *>held.view.buf
    return 0


def stats_enable() -> None:
    """Count runs and their time in every program, until as many calls of stats_disable."""
    prog_stats_enable(True)


def stats_disable() -> None:
    """Undo one stats_enable."""
    prog_stats_enable(False)


def nr_vcpus() -> int:
    """Virtual CPUs: how many runs may go on at once, and how many values a per-CPU map has."""
    return ebpf_nr_vcpus()


def trace_read(double timeout=0) -> str | None:
    """The next line of the trace pipe, without its end; None when `timeout` seconds bring none. Signals are heard."""
    cdef char buf[1024]
    cdef size_t n = 0
    cdef double slice_s
    while True:
        slice_s = min(timeout, 0.1)
        with nogil:
            n = trace_read_c(buf, <uint64_t>(slice_s * 1e9))
        if n:
            return buf[:n].decode("latin-1")
        timeout -= slice_s
        if timeout <= 0:
            return None
        PyErr_CheckSignals_()
