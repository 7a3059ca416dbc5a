"""Comparisons of scalars: which way they go, and what each way tells."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import (
        U32_MAX,
        U64_MAX,
        cbool,
        i32,
        popcount64,
        s64,
        sign32,
        sign64,
        u32,
        u64,
        wrap32,
        wrap64,
    )  # fmt: skip
    from pyebpf.verify.bounds import const_value, is_const, no_bounds, sync_bounds
    from pyebpf.verify.model import (
        JEQ,
        JGE,
        JGT,
        JLE,
        JLT,
        JNE,
        JSET,
        JSGE,
        JSGT,
        JSLE,
        JSLT,
        NOT_JSET,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.tnum import tnum_and, tnum_intersect, tnum_intersect_low, tnum_or, tnum_set_low


def flip(op: i32) -> i32:
    """The comparison with its operands exchanged."""
    if op == JGT:
        return JLT
    if op == JLT:
        return JGT
    if op == JGE:
        return JLE
    if op == JLE:
        return JGE
    if op == JSGT:
        return JSLT
    if op == JSLT:
        return JSGT
    if op == JSGE:
        return JSLE
    if op == JSLE:
        return JSGE
    return op


def negate_op(op: i32) -> i32:
    """The comparison that holds when this one does not."""
    if op == JEQ:
        return JNE
    if op == JNE:
        return JEQ
    if op == JSET:
        return NOT_JSET
    if op == JGT:
        return JLE
    if op == JGE:
        return JLT
    if op == JLT:
        return JGE
    if op == JLE:
        return JGT
    if op == JSGT:
        return JSLE
    if op == JSGE:
        return JSLT
    if op == JSLT:
        return JSGE
    return JSGT


def equality(a: RegP, b: RegP, is32: cbool) -> i32:
    """1 surely equal, 0 surely not, -1 unknown."""
    mask: u64 = U32_MAX if is32 else U64_MAX
    both: u64 = ~(a.tm | b.tm) & mask
    if (a.tm & mask) == 0 and (b.tm & mask) == 0:
        return 1 if (a.tv & mask) == (b.tv & mask) else 0
    if (a.tv ^ b.tv) & both:
        return 0
    if not is32:
        if a.umin > b.umax or a.umax < b.umin or a.smin > b.smax or a.smax < b.smin:
            return 0
    if a.u32min > b.u32max or a.u32max < b.u32min or a.s32min > b.s32max or a.s32max < b.s32min:
        return 0
    return -1


def common_bits(a: RegP, b: RegP, is32: cbool) -> i32:
    """1 surely a bit in common, 0 surely none, -1 unknown; one of them is a constant."""
    if not is_const(b, is32):
        a, b = b, a
    if not is_const(b, is32):
        return -1
    value: u64 = const_value(b, is32)
    if a.tv & value:
        return 1
    if (a.tv | a.tm) & value == 0:
        return 0
    return -1


def unsigned_order(op: i32, amin: u64, amax: u64, bmin: u64, bmax: u64) -> i32:
    """JGT, JGE, JLT or JLE of two ranges."""
    if op == JGT:
        return 1 if amin > bmax else 0 if amax <= bmin else -1
    if op == JGE:
        return 1 if amin >= bmax else 0 if amax < bmin else -1
    if op == JLT:
        return 1 if amax < bmin else 0 if amin >= bmax else -1
    return 1 if amax <= bmin else 0 if amin > bmax else -1


def signed_order(op: i32, amin: s64, amax: s64, bmin: s64, bmax: s64) -> i32:
    """JSGT, JSGE, JSLT or JSLE of two ranges."""
    if op == JSGT:
        return 1 if amin > bmax else 0 if amax <= bmin else -1
    if op == JSGE:
        return 1 if amin >= bmax else 0 if amax < bmin else -1
    if op == JSLT:
        return 1 if amax < bmin else 0 if amin >= bmax else -1
    return 1 if amax <= bmin else 0 if amin > bmax else -1


def scalar_taken(op: i32, a: RegP, b: RegP, is32: cbool) -> i32:
    """1 always taken, 0 never, -1 unknown."""
    known: i32
    if op == JEQ:
        return equality(a, b, is32)
    if op == JNE:
        known = equality(a, b, is32)
        return known if known < 0 else 1 - known
    if op == JSET:
        return common_bits(a, b, is32)
    if op == JGT or op == JGE or op == JLT or op == JLE:
        if is32:
            return unsigned_order(op, a.u32min, a.u32max, b.u32min, b.u32max)
        return unsigned_order(op, a.umin, a.umax, b.umin, b.umax)
    if is32:
        return signed_order(op, a.s32min, a.s32max, b.s32min, b.s32max)
    return signed_order(op, a.smin, a.smax, b.smin, b.smax)


def learn_equal(a: RegP, b: RegP, is32: cbool) -> None:
    """a == b: both have what both may be."""
    if is32:
        a.u32min = b.u32min = max(a.u32min, b.u32min)
        a.u32max = b.u32max = min(a.u32max, b.u32max)
        a.s32min = b.s32min = max(a.s32min, b.s32min)
        a.s32max = b.s32max = min(a.s32max, b.s32max)
        tnum_intersect_low(a, b.tv, b.tm)
        tnum_set_low(b, a.tv, a.tm)
        return
    a.umin = b.umin = max(a.umin, b.umin)
    a.umax = b.umax = min(a.umax, b.umax)
    a.smin = b.smin = max(a.smin, b.smin)
    a.smax = b.smax = min(a.smax, b.smax)
    tnum_intersect(a, b.tv, b.tm)
    b.tv = a.tv
    b.tm = a.tm


def learn_unequal(a: RegP, value: u64, is32: cbool) -> None:
    """a != value: an end of a range that is the value moves."""
    if is32:
        low: u32 = wrap32(value)
        if a.u32min == low:
            a.u32min = wrap32(low + 1)
        if a.u32max == low:
            a.u32max = wrap32(wrap64(a.u32max) - 1)
        if a.s32min == sign32(low):
            a.s32min = sign32(wrap64(wrap64(low) + 1))
        if a.s32max == sign32(low):
            a.s32max = sign32(wrap64(wrap64(low) - 1))
        return
    if a.umin == value:
        a.umin = wrap64(value + 1)
    if a.umax == value:
        a.umax = wrap64(value - 1)
    if a.smin == sign64(value):
        a.smin = sign64(wrap64(value + 1))
    if a.smax == sign64(value):
        a.smax = sign64(wrap64(value - 1))


def learn_bits(op: i32, a: RegP, value: u64, is32: cbool) -> None:
    """a & value != 0 tells of a single bit; a & value == 0 tells of all of them."""
    high_v: u64 = a.tv
    high_m: u64 = a.tm
    if op == JSET:
        if popcount64(value) != 1:
            return
        tnum_or(a, value, 0)
    else:
        # Linux forgets the ranges first, lest they contradict the bits on a path that cannot be.
        no_bounds(a)
        tnum_and(a, ~value & U64_MAX, 0)
    if is32:
        low_v: u64 = a.tv
        low_m: u64 = a.tm
        a.tv = high_v
        a.tm = high_m
        tnum_set_low(a, low_v, low_m)


def learn_below(op: i32, a: RegP, b: RegP, is32: cbool) -> None:
    """a < b or a <= b, unsigned."""
    less: i32 = 1 if op == JLT else 0
    if is32:
        a.u32max = min(a.u32max, wrap32(wrap64(b.u32max) - less))
        b.u32min = max(wrap32(a.u32min + less), b.u32min)
        return
    a.umax = min(a.umax, wrap64(b.umax - less))
    b.umin = max(wrap64(a.umin + less), b.umin)


def learn_signed_below(op: i32, a: RegP, b: RegP, is32: cbool) -> None:
    """a < b or a <= b, signed."""
    less: i32 = 1 if op == JSLT else 0
    if is32:
        a.s32max = min(a.s32max, sign32(wrap64(wrap64(b.s32max) - less)))
        b.s32min = max(sign32(wrap64(wrap64(a.s32min) + less)), b.s32min)
        return
    a.smax = min(a.smax, sign64(wrap64(wrap64(b.smax) - less)))
    b.smin = max(sign64(wrap64(wrap64(a.smin) + less)), b.smin)


def learn(op: i32, a: RegP, b: RegP, is32: cbool) -> None:
    """Refine both by a comparison that holds."""
    if op == JGT or op == JGE or op == JSGT or op == JSGE:
        op = flip(op)
        a, b = b, a
    if op == JEQ:
        learn_equal(a, b, is32)
    elif op == JLT or op == JLE:
        learn_below(op, a, b, is32)
    elif op == JSLT or op == JSLE:
        learn_signed_below(op, a, b, is32)
    else:
        if not is_const(b, is32):
            a, b = b, a
        if not is_const(b, is32):
            return
        if op == JNE:
            learn_unequal(a, const_value(b, is32), is32)
        else:
            learn_bits(op, a, const_value(b, is32), is32)


def refine(op: i32, a: RegP, b: RegP, is32: cbool) -> None:
    """Refine both and make them consistent."""
    learn(op, a, b, is32)
    sync_bounds(a)
    sync_bounds(b)
