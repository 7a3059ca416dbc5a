"""The transfer functions one by one, on values given as tuples: for tests, which cannot call compiled ones.

A value is (umin, umax, smin, smax, u32min, u32max, s32min, s32max, known ones, unknown bits).
"""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.alu import negate, scalar_op, truncate
    from pyebpf.verify.bounds import sync_bounds
    from pyebpf.verify.branch import refine, scalar_taken
    from pyebpf.verify.model import SCALAR, RegP, alloc_regs, free_array
    from pyebpf.verify.signext import sign_extend


def put(r: RegP, value: Any) -> status:
    """Fill a record."""
    r.kind = SCALAR
    r.umin, r.umax, r.smin, r.smax = value[0], value[1], value[2], value[3]
    r.u32min, r.u32max, r.s32min, r.s32max = value[4], value[5], value[6], value[7]
    r.tv, r.tm = value[8], value[9]
    return 0


def get(r: RegP) -> Any:
    """Read a record."""
    return (r.umin, r.umax, r.smin, r.smax, r.u32min, r.u32max, r.s32min, r.s32max, r.tv, r.tm)


def compute(op: i32, is64: cbool, a: Any, b: Any) -> Any:
    """a OP b, by the operation's bits of an opcode."""
    regs = alloc_regs(2)
    put(regs + 0, a)
    put(regs + 1, b)
    scalar_op(op, is64, regs + 0, regs + 1)
    result = get(regs + 0)
    free_array(regs)
    return result


def unary(name: str, a: Any, nbytes: i32) -> Any:
    """neg, sync, truncate or sext of the low nbytes."""
    regs = alloc_regs(2)
    put(regs + 0, a)
    if name == "neg":
        negate(regs + 0, regs + 1, nbytes == 8)
    elif name == "truncate":
        truncate(regs + 0, nbytes)
    elif name == "sext":
        sign_extend(regs + 0, nbytes)
    else:
        sync_bounds(regs + 0)
    result = get(regs + 0)
    free_array(regs)
    return result


def learn_from(op: i32, is32: cbool, a: Any, b: Any) -> Any:
    """(a, b) refined by a comparison that holds."""
    regs = alloc_regs(2)
    put(regs + 0, a)
    put(regs + 1, b)
    refine(op, regs + 0, regs + 1, is32)
    result = (get(regs + 0), get(regs + 1))
    free_array(regs)
    return result


def decide(op: i32, is32: cbool, a: Any, b: Any) -> Any:
    """1 the comparison always holds, 0 never, -1 unknown."""
    regs = alloc_regs(2)
    put(regs + 0, a)
    put(regs + 1, b)
    result = scalar_taken(op, regs + 0, regs + 1, is32)
    free_array(regs)
    return result
