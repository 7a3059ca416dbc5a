# C side of bits.py: the same names, for modules that Cython compiles.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef uint64_t u64
ctypedef int64_t s64
ctypedef uint32_t u32
ctypedef int32_t s32
ctypedef uint16_t u16
ctypedef uint8_t u8
ctypedef int i32
ctypedef int status
ctypedef int cbool

cdef extern from *:
    """
    #include <stdint.h>
    #define PYEBPF_U64_MAX UINT64_MAX
    #define PYEBPF_S64_MIN INT64_MIN
    #define PYEBPF_S64_MAX INT64_MAX
    #define PYEBPF_U32_MAX UINT32_MAX
    #define PYEBPF_S32_MIN INT32_MIN
    #define PYEBPF_S32_MAX INT32_MAX
    #define PYEBPF_SIGN32 0x80000000u
    #define PYEBPF_SIGN64 0x8000000000000000ull
    #define PYEBPF_HIGH32 0xffffffff00000000ull
    static inline uint64_t pyebpf_low_mask(int n) { return n >= 64 ? UINT64_MAX : (1ull << n) - 1; }
    static inline uint64_t pyebpf_swap(uint64_t x, int n) { return __builtin_bswap64(x) >> (64 - 8 * n); }
    static inline int64_t pyebpf_sext(uint64_t x, int n) { return (int64_t)(x << (64 - 8 * n)) >> (64 - 8 * n); }
    static inline int pyebpf_sadd_ov(int64_t a, int64_t b) { int64_t r; return __builtin_add_overflow(a, b, &r); }
    static inline int pyebpf_ssub_ov(int64_t a, int64_t b) { int64_t r; return __builtin_sub_overflow(a, b, &r); }
    static inline int pyebpf_smul_ov(int64_t a, int64_t b) { int64_t r; return __builtin_mul_overflow(a, b, &r); }
    static inline int pyebpf_umul_ov(uint64_t a, uint64_t b) { uint64_t r; return __builtin_mul_overflow(a, b, &r); }
    static inline int pyebpf_fls64(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }
    """
    const u64 U64_MAX "PYEBPF_U64_MAX"
    const s64 S64_MIN "PYEBPF_S64_MIN"
    const s64 S64_MAX "PYEBPF_S64_MAX"
    const u32 U32_MAX "PYEBPF_U32_MAX"
    const s32 S32_MIN "PYEBPF_S32_MIN"
    const s32 S32_MAX "PYEBPF_S32_MAX"
    const u32 SIGN32 "PYEBPF_SIGN32"
    const u64 SIGN64 "PYEBPF_SIGN64"
    const u64 HIGH32 "PYEBPF_HIGH32"
    u64 low_mask "pyebpf_low_mask"(int n) nogil
    u64 swap_bytes "pyebpf_swap"(u64 x, int n) nogil
    s64 sext "pyebpf_sext"(u64 x, int n) nogil
    bint sadd_overflows "pyebpf_sadd_ov"(s64 a, s64 b) nogil
    bint ssub_overflows "pyebpf_ssub_ov"(s64 a, s64 b) nogil
    bint smul_overflows "pyebpf_smul_ov"(s64 a, s64 b) nogil
    bint umul_overflows "pyebpf_umul_ov"(u64 a, u64 b) nogil
    i32 fls64 "pyebpf_fls64"(u64 x) nogil
    i32 popcount64 "__builtin_popcountll"(u64 x) nogil

cdef inline u64 wrap64(u64 x) noexcept nogil:
    return x

cdef inline u32 wrap32(u64 x) noexcept nogil:
    return <u32>x

cdef inline s64 sign64(u64 x) noexcept nogil:
    return <s64>x

cdef inline s32 sign32(u64 x) noexcept nogil:
    return <s32><u32>x

cdef inline u64 shl64(u64 x, int n) noexcept nogil:
    return x << n
