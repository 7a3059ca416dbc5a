"""Arithmetic on scalars: what each operation does to bounds and tnum.

Every function computes d = d OP s; the tnum of the result is set before the bounds that use it.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import (
        S32_MAX,
        S32_MIN,
        S64_MAX,
        S64_MIN,
        U32_MAX,
        U64_MAX,
        cbool,
        i32,
        s64,
        sadd_overflows,
        shl64,
        sign32,
        sign64,
        smul_overflows,
        ssub_overflows,
        u32,
        u64,
        umul_overflows,
        wrap32,
        wrap64,
    )  # fmt: skip
    from pyebpf.verify.bounds import (
        bounds32_from_tnum,
        bounds_from_tnum,
        mark_known,
        mark_unknown,
        no_bounds32,
        no_bounds64,
        set_const_value,
        set_low_const,
        sync_bounds,
        zero_extend,
    )  # fmt: skip
    from pyebpf.verify.model import ADD, AND, ARSH, LSH, MUL, NEG, OR, RSH, SUB, XOR, RegP
    from pyebpf.verify.tnum import (
        tnum_add,
        tnum_and,
        tnum_arshift,
        tnum_cast,
        tnum_lshift,
        tnum_mul,
        tnum_or,
        tnum_rshift,
        tnum_sub,
        tnum_xor,
    )  # fmt: skip


def forget_s32(d: RegP) -> None:
    """The low half's sign is unknown."""
    d.s32min = S32_MIN
    d.s32max = S32_MAX


def forget_s64(d: RegP) -> None:
    """The sign is unknown."""
    d.smin = S64_MIN
    d.smax = S64_MAX


def forget_u32(d: RegP) -> None:
    """The low half's unsigned range is everything."""
    d.u32min = 0
    d.u32max = U32_MAX


def forget_u64(d: RegP) -> None:
    """The unsigned range is everything."""
    d.umin = 0
    d.umax = U64_MAX


def bounds_add(d: RegP, s: RegP) -> None:
    """Sums of both widths."""
    lo: s64 = d.s32min
    hi: s64 = d.s32max
    lo += s.s32min
    hi += s.s32max
    if lo < S32_MIN or hi > S32_MAX or lo > S32_MAX or hi < S32_MIN:
        forget_s32(d)
    else:
        d.s32min = lo
        d.s32max = hi
    ulo32: u32 = wrap32(d.u32min + s.u32min)
    uhi32: u32 = wrap32(d.u32max + s.u32max)
    if ulo32 >= d.u32min and uhi32 < d.u32max:
        # only the upper end wraps
        forget_u32(d)
    else:
        d.u32min = ulo32
        d.u32max = uhi32
    if sadd_overflows(d.smin, s.smin) or sadd_overflows(d.smax, s.smax):
        forget_s64(d)
    else:
        d.smin = d.smin + s.smin
        d.smax = d.smax + s.smax
    ulo: u64 = wrap64(d.umin + s.umin)
    uhi: u64 = wrap64(d.umax + s.umax)
    if ulo >= d.umin and uhi < d.umax:
        forget_u64(d)
    else:
        d.umin = ulo
        d.umax = uhi


def bounds_sub(d: RegP, s: RegP) -> None:
    """Differences of both widths."""
    lo: s64 = d.s32min
    hi: s64 = d.s32max
    lo -= s.s32max
    hi -= s.s32min
    if lo < S32_MIN or hi > S32_MAX or lo > S32_MAX or hi < S32_MIN:
        forget_s32(d)
    else:
        d.s32min = lo
        d.s32max = hi
    if d.u32min < s.u32max and d.u32max >= s.u32min:
        # only the lower end wraps
        forget_u32(d)
    else:
        d.u32min = wrap32(d.u32min - s.u32max)
        d.u32max = wrap32(d.u32max - s.u32min)
    if ssub_overflows(d.smin, s.smax) or ssub_overflows(d.smax, s.smin):
        forget_s64(d)
    else:
        d.smin = d.smin - s.smax
        d.smax = d.smax - s.smin
    if d.umin < s.umax and d.umax >= s.umin:
        forget_u64(d)
    else:
        d.umin = wrap64(d.umin - s.umax)
        d.umax = wrap64(d.umax - s.umin)


def bounds_mul32(d: RegP, s: RegP) -> None:
    """Products of the low halves."""
    a: u64 = d.u32max
    b: u64 = s.u32max
    if a * b > U32_MAX:
        forget_u32(d)
    else:
        d.u32min = d.u32min * s.u32min
        d.u32max = d.u32max * s.u32max
    dlo: s64 = d.s32min
    dhi: s64 = d.s32max
    slo: s64 = s.s32min
    shi: s64 = s.s32max
    lo: s64 = min(dlo * slo, dlo * shi, dhi * slo, dhi * shi)
    hi: s64 = max(dlo * slo, dlo * shi, dhi * slo, dhi * shi)
    if lo < S32_MIN or hi > S32_MAX:
        forget_s32(d)
    else:
        d.s32min = lo
        d.s32max = hi


def bounds_mul64(d: RegP, s: RegP) -> None:
    """Products."""
    if umul_overflows(d.umax, s.umax):
        forget_u64(d)
    else:
        d.umin = d.umin * s.umin
        d.umax = d.umax * s.umax
    if (
        smul_overflows(d.smin, s.smin)
        or smul_overflows(d.smin, s.smax)
        or smul_overflows(d.smax, s.smin)
        or smul_overflows(d.smax, s.smax)
    ):
        forget_s64(d)
        return
    p0: s64 = d.smin * s.smin
    p1: s64 = d.smin * s.smax
    p2: s64 = d.smax * s.smin
    p3: s64 = d.smax * s.smax
    d.smin = min(p0, p1, p2, p3)
    d.smax = max(p0, p1, p2, p3)


def signed_from_unsigned32(d: RegP) -> None:
    """Signed bounds of a low half whose unsigned range does not cross the sign."""
    if sign32(d.u32min) <= sign32(d.u32max):
        d.s32min = sign32(d.u32min)
        d.s32max = sign32(d.u32max)
    else:
        forget_s32(d)


def signed_from_unsigned64(d: RegP) -> None:
    """Signed bounds of a value whose unsigned range does not cross the sign."""
    if sign64(d.umin) <= sign64(d.umax):
        d.smin = sign64(d.umin)
        d.smax = sign64(d.umax)
    else:
        forget_s64(d)


def both_const32(d: RegP, s: RegP) -> cbool:
    """The low halves of the result and the operand are known."""
    return ((d.tm | s.tm) & U32_MAX) == 0


def bounds_and(d: RegP, s: RegP) -> None:
    """And: at least the known ones, at most the smaller maximum."""
    if both_const32(d, s):
        set_low_const(d, d.tv)
    else:
        d.u32min = wrap32(d.tv)
        if s.u32max < d.u32max:
            d.u32max = s.u32max
        signed_from_unsigned32(d)
    if d.tm == 0 and s.tm == 0:
        mark_known(d, d.tv)
        return
    d.umin = d.tv
    if s.umax < d.umax:
        d.umax = s.umax
    signed_from_unsigned64(d)
    bounds_from_tnum(d)


def bounds_or(d: RegP, s: RegP) -> None:
    """Or: at least the larger minimum, at most every bit that may be one."""
    if both_const32(d, s):
        set_low_const(d, d.tv)
    else:
        if s.u32min > d.u32min:
            d.u32min = s.u32min
        d.u32max = wrap32(d.tv | d.tm)
        signed_from_unsigned32(d)
    if d.tm == 0 and s.tm == 0:
        mark_known(d, d.tv)
        return
    if s.umin > d.umin:
        d.umin = s.umin
    d.umax = d.tv | d.tm
    signed_from_unsigned64(d)
    bounds_from_tnum(d)


def bounds_xor(d: RegP, s: RegP) -> None:
    """Exclusive or: only the bits tell."""
    if both_const32(d, s):
        set_low_const(d, d.tv)
    else:
        d.u32min = wrap32(d.tv)
        d.u32max = wrap32(d.tv | d.tm)
        signed_from_unsigned32(d)
    if d.tm == 0 and s.tm == 0:
        mark_known(d, d.tv)
        return
    d.umin = d.tv
    d.umax = d.tv | d.tm
    signed_from_unsigned64(d)
    bounds_from_tnum(d)


def shift_left32(d: RegP, n: i32) -> None:
    """32-bit bounds after << n, n in 0..31 when called for a 32-bit shift, any for a 64-bit one."""
    forget_s32(d)
    one: u64 = 1
    if n > 31 or d.u32max > shl64(one, 31 - n):
        forget_u32(d)
    else:
        d.u32min = wrap32(shl64(d.u32min, n))
        d.u32max = wrap32(shl64(d.u32max, n))


def op_lsh32(d: RegP, n: i32) -> None:
    """Low half << n."""
    tnum_cast(d, 4)
    shift_left32(d, n)
    tnum_lshift(d, n)
    no_bounds64(d)
    bounds32_from_tnum(d)


def op_lsh64(d: RegP, n: i32) -> None:
    """<< n. By 32, the usual start of a sign extension, the signed low half is known to survive."""
    if n == 32 and d.s32max >= 0:
        d.smax = sign64(shl64(wrap64(d.s32max), 32))
    else:
        d.smax = S64_MAX
    if n == 32 and d.s32min >= 0:
        d.smin = sign64(shl64(wrap64(d.s32min), 32))
    else:
        d.smin = S64_MIN
    one: u64 = 1
    if d.umax > shl64(one, 63 - n):
        forget_u64(d)
    else:
        d.umin = shl64(d.umin, n)
        d.umax = shl64(d.umax, n)
    shift_left32(d, n)
    tnum_lshift(d, n)
    bounds_from_tnum(d)


def op_rsh32(d: RegP, n: i32) -> None:
    """Low half >> n."""
    forget_s32(d)
    tnum_cast(d, 4)
    tnum_rshift(d, n)
    d.u32min = d.u32min >> n
    d.u32max = d.u32max >> n
    no_bounds64(d)
    bounds32_from_tnum(d)


def op_rsh64(d: RegP, n: i32) -> None:
    """>> n; what enters the low half is left to the tnum."""
    forget_s64(d)
    tnum_rshift(d, n)
    d.umin = d.umin >> n
    d.umax = d.umax >> n
    no_bounds32(d)
    bounds_from_tnum(d)


def op_arsh32(d: RegP, n: i32) -> None:
    """Low half s>> n."""
    d.s32min = d.s32min >> n
    d.s32max = d.s32max >> n
    tnum_cast(d, 4)
    tnum_arshift(d, n, 32)
    forget_u32(d)
    no_bounds64(d)
    bounds32_from_tnum(d)


def op_arsh64(d: RegP, n: i32) -> None:
    """s>> n."""
    d.smin = d.smin >> n
    d.smax = d.smax >> n
    tnum_arshift(d, n, 64)
    forget_u64(d)
    no_bounds32(d)
    bounds_from_tnum(d)


def computable(op: i32, is64: cbool, s: RegP) -> cbool:
    """Whether the result's range follows from the operands': shifts only by a known count in range."""
    if op == ADD or op == SUB or op == MUL or op == AND or op == OR or op == XOR or op == NEG:
        return True
    if op != LSH and op != RSH and op != ARSH:
        return False
    if is64:
        return s.tm == 0 and s.umin == s.umax and s.smin == s.smax and s.umax < 64
    return s.tm & U32_MAX == 0 and s.u32min == s.u32max and s.s32min == s.s32max and s.umax < 32


def scalar_op(op: i32, is64: cbool, d: RegP, s: RegP) -> None:
    """d = d OP s for two scalars; s is not d."""
    if not computable(op, is64, s):
        mark_unknown(d)
        return
    n: i32 = 0
    if op == ADD:
        bounds_add(d, s)
        tnum_add(d, s.tv, s.tm)
    elif op == SUB:
        bounds_sub(d, s)
        tnum_sub(d, s.tv, s.tm)
    elif op == MUL:
        tnum_mul(d, s.tv, s.tm)
        bounds_mul32(d, s)
        bounds_mul64(d, s)
    elif op == AND:
        tnum_and(d, s.tv, s.tm)
        bounds_and(d, s)
    elif op == OR:
        tnum_or(d, s.tv, s.tm)
        bounds_or(d, s)
    elif op == XOR:
        tnum_xor(d, s.tv, s.tm)
        bounds_xor(d, s)
    else:
        n = s.umax if is64 else s.u32max
        if op == LSH:
            if is64:
                op_lsh64(d, n)
            else:
                op_lsh32(d, n)
        elif op == RSH:
            if is64:
                op_rsh64(d, n)
            else:
                op_rsh32(d, n)
        elif is64:
            op_arsh64(d, n)
        else:
            op_arsh32(d, n)
    if not is64:
        zero_extend(d)
    sync_bounds(d)


def negate(d: RegP, copy: RegP, is64: cbool) -> None:
    """d = 0 - d; copy: scratch."""
    copy[0] = d[0]
    mark_known(d, 0)
    scalar_op(SUB, is64, d, copy)


def truncate32(d: RegP) -> None:
    """Keep the low half."""
    tnum_cast(d, 4)
    if (d.umin >> 32) == (d.umax >> 32):
        d.umin = d.umin & U32_MAX
        d.umax = d.umax & U32_MAX
    else:
        d.umin = 0
        d.umax = U32_MAX
    d.smin = sign64(d.umin)
    d.smax = sign64(d.umax)
    sync_bounds(d)


def truncate(d: RegP, nbytes: i32) -> None:
    """Keep the low bytes, as a narrow load does."""
    mask: u64 = 0
    if nbytes < 8:
        mask = (shl64(1, nbytes * 8)) - 1
        tnum_cast(d, nbytes)
        if (d.umin & ~mask) == (d.umax & ~mask):
            d.umin = d.umin & mask
            d.umax = d.umax & mask
        else:
            d.umin = 0
            d.umax = mask
        d.smin = sign64(d.umin)
        d.smax = sign64(d.umax)
        if nbytes < 4:
            no_bounds32(d)
        sync_bounds(d)


def same_high(a: s64, b: s64, nbits: i32) -> cbool:
    """Whether two values agree above their low nbits."""
    return (a >> nbits) == (b >> nbits)


def set_signed_range(d: RegP, lo: s64, hi: s64) -> None:
    """All five descriptions from a signed range that both widths share."""
    d.smin = lo
    d.smax = hi
    d.s32min = sign32(wrap64(lo))
    d.s32max = sign32(wrap64(hi))
    d.umin = 0
    d.umax = U64_MAX
    d.u32min = 0
    d.u32max = U32_MAX


def copy_const(d: RegP, value: u64) -> None:
    """All descriptions of one value."""
    set_const_value(d, value)
