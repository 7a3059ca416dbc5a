"""Scalars: bounds and tnum of one value, kept consistent with each other."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import (
        HIGH32,
        S32_MAX,
        S32_MIN,
        S64_MAX,
        S64_MIN,
        SIGN32,
        SIGN64,
        U32_MAX,
        U64_MAX,
        cbool,
        i32,
        s32,
        s64,
        sign32,
        sign64,
        u32,
        u64,
        wrap32,
        wrap64,
    )  # fmt: skip
    from pyebpf.verify.model import ADD_CONST, NOT_INIT, SCALAR, RegP, clear_reg
    from pyebpf.verify.tnum import tnum_cast, tnum_clip, tnum_clip_low, tnum_const, tnum_unknown


def no_bounds32(r: RegP) -> None:
    """The low half may be anything."""
    r.u32min = 0
    r.u32max = U32_MAX
    r.s32min = S32_MIN
    r.s32max = S32_MAX


def no_bounds64(r: RegP) -> None:
    """The whole may be anything; the 32-bit bounds stay."""
    r.umin = 0
    r.umax = U64_MAX
    r.smin = S64_MIN
    r.smax = S64_MAX


def no_bounds(r: RegP) -> None:
    """Neither width has bounds."""
    no_bounds64(r)
    no_bounds32(r)


def set_const_value(r: RegP, value: u64) -> None:
    """Bounds and tnum of one value; the rest stays."""
    tnum_const(r, value)
    r.umin = value
    r.umax = value
    r.smin = sign64(value)
    r.smax = sign64(value)
    r.u32min = wrap32(value)
    r.u32max = wrap32(value)
    r.s32min = sign32(value)
    r.s32max = sign32(value)


def set_low_const(r: RegP, value: u64) -> None:
    """The low half is one value; the high half's tnum stays."""
    r.tv = (r.tv & HIGH32) | (value & U32_MAX)
    r.tm = r.tm & HIGH32
    r.u32min = wrap32(value)
    r.u32max = wrap32(value)
    r.s32min = sign32(value)
    r.s32max = sign32(value)


def mark_known(r: RegP, value: u64) -> None:
    """A scalar of one value, equal to nothing else; precision of the record stays."""
    r.off = 0
    r.range = 0
    r.map = 0
    r.map_uid = 0
    r.size = 0
    r.id = 0
    r.ref_id = 0
    set_const_value(r, value)


def mark_const_scalar(r: RegP, value: u64) -> None:
    """kind SCALAR and one value."""
    mark_known(r, value)
    r.kind = SCALAR


def mark_unknown(r: RegP) -> None:
    """A scalar of which nothing is known."""
    spill: i32 = r.spill
    misc: i32 = r.misc
    zero: i32 = r.zero
    clear_reg(r)
    r.spill = spill
    r.misc = misc
    r.zero = zero
    r.kind = SCALAR
    tnum_unknown(r)
    no_bounds(r)


def mark_not_init(r: RegP) -> None:
    """Not readable."""
    mark_unknown(r)
    r.kind = NOT_INIT


def bounds_from_tnum(r: RegP) -> None:
    """Tighten every bound by the known bits."""
    bounds32_from_tnum(r)
    bounds64_from_tnum(r)


def bounds64_from_tnum(r: RegP) -> None:
    """Tighten the 64-bit bounds by the known bits."""
    s: s64 = sign64(r.tv | (r.tm & SIGN64))
    if s > r.smin:
        r.smin = s
    s = sign64(r.tv | (r.tm & ~SIGN64))
    if s < r.smax:
        r.smax = s
    if r.tv > r.umin:
        r.umin = r.tv
    if (r.tv | r.tm) < r.umax:
        r.umax = r.tv | r.tm


def bounds32_from_tnum(r: RegP) -> None:
    """Tighten the 32-bit bounds by the known bits."""
    low_v: u32 = wrap32(r.tv)
    low_m: u32 = wrap32(r.tm)
    s: s32 = sign32(low_v | (low_m & SIGN32))
    if s > r.s32min:
        r.s32min = s
    s = sign32(low_v | (low_m & ~SIGN32))
    if s < r.s32max:
        r.s32max = s
    if low_v > r.u32min:
        r.u32min = low_v
    if (low_v | low_m) < r.u32max:
        r.u32max = low_v | low_m


def clip_u32(r: RegP, lo: u32, hi: u32) -> None:
    """Intersect the unsigned 32-bit range."""
    if lo > r.u32min:
        r.u32min = lo
    if hi < r.u32max:
        r.u32max = hi


def clip_s32(r: RegP, lo: s32, hi: s32) -> None:
    """Intersect the signed 32-bit range."""
    if lo > r.s32min:
        r.s32min = lo
    if hi < r.s32max:
        r.s32max = hi


def clip_u64(r: RegP, lo: u64, hi: u64) -> None:
    """Intersect the unsigned 64-bit range."""
    if lo > r.umin:
        r.umin = lo
    if hi < r.umax:
        r.umax = hi


def clip_s64(r: RegP, lo: s64, hi: s64) -> None:
    """Intersect the signed 64-bit range."""
    if lo > r.smin:
        r.smin = lo
    if hi < r.smax:
        r.smax = hi


def deduce32(r: RegP) -> None:
    """32-bit bounds from the 64-bit ones and from each other."""
    ulo: u64 = r.umin
    uhi: u64 = r.umax
    slo: u64 = wrap64(r.smin)
    shi: u64 = wrap64(r.smax)
    if (ulo >> 32) == (uhi >> 32):
        # the low halves lie in one block of 2^32: an unsigned range, and a signed one if it does not wrap
        clip_u32(r, wrap32(ulo), wrap32(uhi))
        if sign32(ulo) <= sign32(uhi):
            clip_s32(r, sign32(ulo), sign32(uhi))
    if (slo >> 32) == (shi >> 32):
        if wrap32(slo) <= wrap32(shi):
            clip_u32(r, wrap32(slo), wrap32(shi))
        if sign32(slo) <= sign32(shi):
            clip_s32(r, sign32(slo), sign32(shi))
    # two neighbouring blocks, from the negative half of the first to the positive half of the second
    if wrap32((ulo >> 32) + 1) == wrap32(uhi >> 32) and sign32(ulo) < 0 and sign32(uhi) >= 0:
        clip_s32(r, sign32(ulo), sign32(uhi))
    if wrap32((slo >> 32) + 1) == wrap32(shi >> 32) and sign32(slo) < 0 and sign32(shi) >= 0:
        clip_s32(r, sign32(slo), sign32(shi))
    if sign32(r.u32min) <= sign32(r.u32max):
        clip_s32(r, sign32(r.u32min), sign32(r.u32max))
    if wrap32(wrap64(r.s32min)) <= wrap32(wrap64(r.s32max)):
        clip_u32(r, wrap32(wrap64(r.s32min)), wrap32(wrap64(r.s32max)))
    elif r.u32max < wrap32(wrap64(r.s32min)):
        # as in deduce64: only the positive part of the signed range is left
        r.s32min = sign32(r.u32min)
        if wrap32(wrap64(r.s32max)) < r.u32max:
            r.u32max = wrap32(wrap64(r.s32max))
    elif wrap32(wrap64(r.s32max)) < r.u32min:
        # or only the negative part
        if wrap32(wrap64(r.s32min)) > r.u32min:
            r.u32min = wrap32(wrap64(r.s32min))
        r.s32max = sign32(r.u32max)


def deduce64(r: RegP) -> None:
    """64-bit bounds, signed and unsigned, from each other."""
    if sign64(r.umin) <= sign64(r.umax):
        clip_s64(r, sign64(r.umin), sign64(r.umax))
    if wrap64(r.smin) <= wrap64(r.smax):
        clip_u64(r, wrap64(r.smin), wrap64(r.smax))
    elif r.umax < wrap64(r.smin):
        # the signed range crosses zero and its negative part is above the unsigned range
        r.smin = sign64(r.umin)
        if wrap64(r.smax) < r.umax:
            r.umax = wrap64(r.smax)
    elif wrap64(r.smax) < r.umin:
        # or its positive part is below it
        if wrap64(r.smin) > r.umin:
            r.umin = wrap64(r.smin)
        r.smax = sign64(r.umax)


def deduce_mixed(r: RegP) -> None:
    """64-bit bounds from the 32-bit ones."""
    u_lo: u64 = r.u32min
    u_hi: u64 = r.u32max
    clip_u64(r, (r.umin & HIGH32) | u_lo, (r.umax & HIGH32) | u_hi)
    lo: s64 = sign64((wrap64(r.smin) & HIGH32) | u_lo)
    hi: s64 = sign64((wrap64(r.smax) & HIGH32) | u_hi)
    clip_s64(r, lo, hi)
    if r.s32min >= 0 and r.smin >= S32_MIN and r.smax <= S32_MAX:
        # sign-extended from 32 bits, and not negative: the high half is zero
        r.smin = r.s32min
        r.smax = r.s32max
        r.umin = wrap64(r.s32min)
        r.umax = wrap64(r.s32max)
        tnum_clip(r, r.umin, r.umax)


def deduce(r: RegP) -> None:
    """One round of deduction between the four ranges."""
    deduce32(r)
    deduce64(r)
    deduce_mixed(r)


def tnum_from_bounds(r: RegP) -> None:
    """Known bits from the unsigned ranges."""
    tnum_clip(r, r.umin, r.umax)
    tnum_clip_low(r, r.u32min, r.u32max)


def sync_bounds(r: RegP) -> None:
    """Spread what any of the five descriptions knows to the others."""
    bounds_from_tnum(r)
    deduce(r)
    deduce(r)
    deduce(r)
    tnum_from_bounds(r)
    bounds_from_tnum(r)


def bounds_sane(r: RegP) -> cbool:
    """Whether the five descriptions can hold together; a dead branch may make them contradict."""
    if r.umin > r.umax or r.smin > r.smax or r.u32min > r.u32max or r.s32min > r.s32max:
        return False
    if r.tm == 0 and (r.umin != r.tv or r.umax != r.tv or r.smin != sign64(r.tv) or r.smax != sign64(r.tv)):
        return False
    if r.tm & U32_MAX == 0:
        low: u32 = wrap32(r.tv)
        if r.u32min != low or r.u32max != low or r.s32min != sign32(low) or r.s32max != sign32(low):
            return False
    return True


def check_sane(r: RegP) -> None:
    """Forget the ranges when the descriptions contradict, as Linux does."""
    if not bounds_sane(r):
        no_bounds(r)


def adopt32(r: RegP) -> None:
    """64-bit bounds of a value whose high half is zero, before the 32-bit ones are used."""
    r.umin = r.u32min
    r.umax = r.u32max
    if r.s32min >= 0 and r.s32max >= 0:
        r.smin = r.s32min
        r.smax = r.s32max
    else:
        r.smin = 0
        r.smax = U32_MAX


def zero_extend(r: RegP) -> None:
    """The high half becomes zero."""
    tnum_cast(r, 4)
    adopt32(r)


def sext64_default(r: RegP, nbytes: i32) -> None:
    """Range of a sign-extended value of which nothing is known."""
    if nbytes == 1:
        r.smin = -128
        r.smax = 127
    elif nbytes == 2:
        r.smin = -32768
        r.smax = 32767
    else:
        r.smin = S32_MIN
        r.smax = S32_MAX
    r.s32min = sign32(wrap64(r.smin))
    r.s32max = sign32(wrap64(r.smax))
    r.umin = 0
    r.umax = U64_MAX
    r.u32min = 0
    r.u32max = U32_MAX
    tnum_unknown(r)


def is_const(r: RegP, is32: cbool) -> cbool:
    """A scalar known exactly, in its low half when is32."""
    if r.kind != SCALAR:
        return False
    if is32:
        return r.tm & U32_MAX == 0
    return r.tm == 0


def const_value(r: RegP, is32: cbool) -> u64:
    """The value of an is_const() scalar."""
    if is32:
        return r.tv & U32_MAX
    return r.tv


def base_id(r: RegP) -> u32:
    """The id without its ADD_CONST bit."""
    return r.id & ~ADD_CONST & U32_MAX
