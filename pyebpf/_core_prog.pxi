# Programs.
cdef extern from "core.h":
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
    struct ebpf_prog:
        pass
    int prog_create(const ebpf_prog_desc *desc, int engine, ebpf_prog **out, ebpf_error *err)
    void prog_put(ebpf_prog *prog) nogil
    int prog_run(ebpf_prog *prog, void *ctx, uint64_t r2, uint64_t *retval) nogil


cdef class NativeProg:
    """A program ready to run; made only from an image that came out of the verifier (or `unsafe`)."""

    cdef ebpf_prog *prog

    def __cinit__(self, bytes insns, *, int type, int flags=0, int engine=0):
        cdef ebpf_prog_desc desc
        cdef ebpf_error err
        memset(&desc, 0, sizeof(desc))
        desc.insns = <const ebpf_insn *><const char *>insns
        desc.n_insns = len(insns) // 8
        desc.type = type
        desc.flags = flags
        err.code = 0
        check(prog_create(&desc, engine, &self.prog, &err), &err)

    def __dealloc__(self):
        if self.prog != NULL:
            prog_put(self.prog)

    def run_raw(self) -> int:
        """One run with r1 = r2 = 0."""
        cdef uint64_t retval = 0
        check(prog_run(self.prog, NULL, 0, &retval), NULL)
        return retval
