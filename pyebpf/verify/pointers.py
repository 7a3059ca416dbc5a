"""Arithmetic on pointers: what may be added to which, and what the result points to."""

from __future__ import annotations

import cython

from pyebpf.verify.signs import SIGNS

if not cython.compiled:
    from pyebpf.bits import (
        S64_MAX,
        S64_MIN,
        U64_MAX,
        cbool,
        i32,
        s64,
        sadd_overflows,
        sign32,
        sign64,
        ssub_overflows,
        status,
        u64,
        wrap64,
    )  # fmt: skip
    from pyebpf.verify.bounds import mark_unknown, no_bounds32, sync_bounds
    from pyebpf.verify.env import Env, fail, new_id, unsupported
    from pyebpf.verify.model import (
        ADD,
        AND,
        BUF,
        CTX,
        EACCES,
        EINVAL,
        FLOW_KEYS,
        FUNC,
        KIND_MASK,
        MAP_KEY,
        MAP_PTR,
        MAP_VALUE,
        MAX_VAR_OFF,
        MAYBE_NULL,
        MEM,
        OR,
        PKT,
        PKT_META,
        STACK,
        SUB,
        TP_BUFFER,
        XOR,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.show import kind_name
    from pyebpf.verify.tnum import tnum_add, tnum_sub


def sane_offset(env: Env, r: RegP, kind: i32) -> status:
    """The offset is far from where sums could overflow."""
    value: s64 = sign64(r.tv)
    if r.tm == 0 and (value >= MAX_VAR_OFF or value <= -MAX_VAR_OFF):
        return fail(env, EINVAL, f"math between {kind_name(kind)} pointer and {value} is not allowed")
    if r.off >= MAX_VAR_OFF or r.off <= -MAX_VAR_OFF:
        return fail(env, EINVAL, f"{kind_name(kind)} pointer offset {r.off} is not allowed")
    if r.smin == S64_MIN:
        text = f"math between {kind_name(kind)} pointer and register with unbounded min value is not allowed"
        return fail(env, EINVAL, text)
    if r.smin >= MAX_VAR_OFF or r.smin <= -MAX_VAR_OFF:
        return fail(env, EINVAL, f"value {r.smin} makes {kind_name(kind)} pointer be out of bounds")
    return 0


def check_kind(env: Env, op: i32, dst: i32, p: RegP, known: cbool, value: s64) -> status:
    """Pointers of this kind may be computed with."""
    kind: i32 = p.kind
    base: i32 = kind & KIND_MASK
    if kind & MAYBE_NULL:
        text = f"R{dst} pointer arithmetic on {kind_name(kind)} prohibited, null-check it first"
        return fail(env, EACCES, text)
    if (
        base == CTX or base == MAP_VALUE or base == MAP_KEY or base == STACK or base == PKT or base == PKT_META
        or base == MEM or base == BUF or base == TP_BUFFER or base == FUNC
    ):  # fmt: skip
        return 0
    if base == FLOW_KEYS and known:
        return 0
    if (base == MAP_PTR or base == FLOW_KEYS) and known and value == 0 and op == ADD:
        return 0
    return fail(env, EACCES, f"R{dst} pointer arithmetic on {kind_name(kind)} prohibited")


def copy_range(d: RegP, p: RegP) -> None:
    """The variable offset stays."""
    d.smin = p.smin
    d.smax = p.smax
    d.umin = p.umin
    d.umax = p.umax
    d.tv = p.tv
    d.tm = p.tm


def pointer_add(env: Env, d: RegP, p: RegP, s: RegP, known: cbool) -> status:
    """pointer + scalar"""
    total: s64 = p.off
    total += s.smin if known else 0
    if known and total == sign32(wrap64(total)):
        copy_range(d, p)
        d.off = sign32(wrap64(total))
        return 0
    tv: u64 = p.tv
    tm: u64 = p.tm
    smin: s64 = p.smin
    smax: s64 = p.smax
    umin: u64 = p.umin
    umax: u64 = p.umax
    if sadd_overflows(smin, s.smin) or sadd_overflows(smax, s.smax):
        d.smin = S64_MIN
        d.smax = S64_MAX
    else:
        smin += s.smin
        smax += s.smax
        d.smin = smin
        d.smax = smax
    ulo: u64 = wrap64(umin + s.umin)
    uhi: u64 = wrap64(umax + s.umax)
    if ulo < umin or uhi < umax:
        ulo = 0
        uhi = U64_MAX
    bv: u64 = s.tv
    bm: u64 = s.tm
    d.umin = ulo
    d.umax = uhi
    d.tv = tv
    d.tm = tm
    tnum_add(d, bv, bm)
    d.off = p.off
    if p.kind == PKT or p.kind == PKT_META:
        d.id = new_id(env)
        d.range = 0
    return 0


def pointer_sub(env: Env, d: RegP, p: RegP, s: RegP, known: cbool) -> status:
    """pointer - scalar"""
    total: s64 = p.off
    total -= s.smin if known else 0
    if known and total == sign32(wrap64(total)):
        d.off = sign32(wrap64(total))
        return 0
    negative: cbool = s.smin < 0
    if ssub_overflows(p.smin, s.smax) or ssub_overflows(p.smax, s.smin):
        d.smin = S64_MIN
        d.smax = S64_MAX
    else:
        d.smin = d.smin - s.smax
        d.smax = d.smax - s.smin
    if d.umin < s.umax:
        d.umin = 0
        d.umax = U64_MAX
    else:
        d.umin = d.umin - s.umax
        d.umax = d.umax - s.umin
    tnum_sub(d, s.tv, s.tm)
    if p.kind == PKT or p.kind == PKT_META:
        d.id = new_id(env)
        if negative:
            d.range = 0
    return 0


def pointer_op(env: Env, op: i32, is64: cbool, dst: i32, d: RegP, p: RegP, s: RegP, reversed_: cbool) -> status:
    """d = p OP s; p and s are copies. reversed_: d held the scalar and the other operand is the pointer."""
    known: cbool = s.tm == 0
    kind: i32 = p.kind
    if (known and (s.smin != s.smax or s.umin != s.umax)) or s.smin > s.smax or s.umin > s.umax:
        mark_unknown(d)
        return 0
    if not is64:
        if op == SUB and env.allow_ptr_leaks:
            mark_unknown(d)
            return 0
        return fail(env, EACCES, f"R{dst} 32-bit pointer arithmetic prohibited")
    check_kind(env, op, dst, p, known, s.smin)
    sane_offset(env, s, kind)
    sane_offset(env, p, kind)
    if not env.bypass_spec and not known:
        return unsupported(env, "variable pointer arithmetic without CAP_PERFMON")
    if op == ADD:
        d[0] = p[0]
        no_bounds32(d)
        pointer_add(env, d, p, s, known)
    elif op == SUB:
        if reversed_:
            return fail(env, EACCES, f"R{dst} tried to subtract pointer from scalar")
        if kind == STACK:
            return fail(env, EACCES, f"R{dst} subtraction from stack pointer prohibited")
        d[0] = p[0]
        no_bounds32(d)
        pointer_sub(env, d, p, s, known)
    elif op == AND or op == OR or op == XOR:
        return fail(env, EACCES, f"R{dst} bitwise operator {SIGNS[op >> 4]} on pointer prohibited")
    else:
        return fail(env, EACCES, f"R{dst} pointer arithmetic with {SIGNS[op >> 4]} operator prohibited")
    sane_offset(env, d, kind)
    sync_bounds(d)
    return 0
