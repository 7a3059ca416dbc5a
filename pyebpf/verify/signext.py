"""Sign extension: movsx and sign-extending loads."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import (
        U32_MAX,
        fls64,
        i32,
        low_mask,
        s64,
        sext,
        sign32,
        u32,
        u64,
        wrap32,
        wrap64,
    )  # fmt: skip
    from pyebpf.verify.bounds import set_const_value, sext64_default
    from pyebpf.verify.model import RegP


def sign_extend(d: RegP, nbytes: i32) -> None:
    """The low bytes, sign-extended to 64 bits."""
    nbits: i32 = nbytes * 8
    lo: s64
    hi: s64
    t: s64
    if d.tm == 0:
        set_const_value(d, wrap64(sext(d.tv, nbytes)))
        return
    if (wrap64(d.smax) >> nbits) != (wrap64(d.smin) >> nbits):
        sext64_default(d, nbytes)
        return
    lo = sext(wrap64(d.smin), nbytes)
    hi = sext(wrap64(d.smax), nbytes)
    if lo > hi:
        t = lo
        lo = hi
        hi = t
    if (lo >= 0) != (hi >= 0):
        sext64_default(d, nbytes)
        return
    d.smin = lo
    d.smax = hi
    d.umin = wrap64(lo)
    d.umax = wrap64(hi)
    d.s32min = sign32(wrap64(lo))
    d.s32max = sign32(wrap64(hi))
    d.u32min = wrap32(wrap64(lo))
    d.u32max = wrap32(wrap64(hi))
    range_tnum(d, wrap64(lo), wrap64(hi))


def range_tnum(d: RegP, lo: u64, hi: u64) -> None:
    """The tnum of a range."""
    delta: u64 = low_mask(fls64(lo ^ hi))
    d.tv = lo & ~delta
    d.tm = delta


def sext32_default(d: RegP, nbytes: i32) -> None:
    """Range of a low half sign-extended from a part of which nothing is known."""
    if nbytes == 1:
        d.s32min = -128
        d.s32max = 127
    else:
        d.s32min = -32768
        d.s32max = 32767
    d.u32min = 0
    d.u32max = U32_MAX
    d.tv = 0
    d.tm = U32_MAX


def sign_extend32(d: RegP, nbytes: i32) -> None:
    """The low bytes, sign-extended to 32 bits; the caller zero-extends."""
    nbits: i32 = nbytes * 8
    lo: s64
    hi: s64
    t: s64
    if d.tm == 0:
        low: u32 = wrap32(wrap64(sext(d.tv, nbytes)))
        d.tv = low
        d.s32min = sign32(low)
        d.s32max = sign32(low)
        d.u32min = low
        d.u32max = low
        return
    if (wrap32(wrap64(d.s32max)) >> nbits) != (wrap32(wrap64(d.s32min)) >> nbits):
        sext32_default(d, nbytes)
        return
    lo = sext(wrap64(d.s32min), nbytes)
    hi = sext(wrap64(d.s32max), nbytes)
    if lo > hi:
        t = lo
        lo = hi
        hi = t
    if (lo >= 0) != (hi >= 0):
        sext32_default(d, nbytes)
        return
    d.s32min = lo
    d.s32max = hi
    d.u32min = wrap32(wrap64(lo))
    d.u32max = wrap32(wrap64(hi))
    range_tnum(d, wrap64(lo), wrap64(hi))
    d.tv = d.tv & U32_MAX
    d.tm = d.tm & U32_MAX
