# Declarations of csrc/core.h and the one place where codes become exceptions.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pyebpf.errors import Error

cdef extern from "core.h":
    struct ebpf_error:
        int code
        int64_t insn_idx
        char text[256]
    struct jit_image:
        const uint8_t *code
        size_t code_nbytes
    struct ebpf_prog:
        int engine
        uint32_t type
        uint32_t flags
        uint64_t max_insns
        uint32_t min_ctx
        uint64_t budget
        uint64_t run_cnt
        uint64_t run_time_ns
        jit_image jit


cdef int check(int rc, ebpf_error *err) except -1:
    """Raise pyebpf.Error for a negative code, with the text of `err` where there is one."""
    if rc >= 0:
        return rc
    if err != NULL and err.code == rc:
        raise Error(-rc, err.text.decode())
    raise Error(-rc, "the operation failed")
