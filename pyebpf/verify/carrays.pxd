# C side of model.py's arrays.
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from pyebpf.cbits cimport u64
from pyebpf.verify.cmodel cimport Aux, AuxP, Hist, HistP, Ins, InsP, Reg, RegP

ctypedef u64* U64P

cdef inline RegP alloc_regs(int n) noexcept:
    return <RegP>calloc(n, sizeof(Reg))

cdef inline InsP alloc_ins(int n) noexcept:
    return <InsP>calloc(n, sizeof(Ins))

cdef inline AuxP alloc_aux(int n) noexcept:
    return <AuxP>calloc(n, sizeof(Aux))

cdef inline HistP grow_hist(HistP old, int n) noexcept:
    return <HistP>realloc(old, n * sizeof(Hist))

cdef inline U64P alloc_u64(int n) noexcept:
    return <U64P>calloc(n, sizeof(u64))

cdef inline void free_array(void *array) noexcept:
    free(array)

cdef inline void copy_regs(RegP dst, RegP src, int n) noexcept:
    memcpy(dst, src, n * sizeof(Reg))

cdef inline void clear_reg(RegP reg) noexcept:
    memset(reg, 0, sizeof(Reg))

cdef inline void clear_regs(RegP regs, int start, int end) noexcept:
    memset(regs + start, 0, (end - start) * sizeof(Reg))

cdef inline bint same_reg(RegP a, RegP b) noexcept:
    return a == b

cdef inline HistP new_hist(int n) noexcept:
    return <HistP>calloc(n, sizeof(Hist))
