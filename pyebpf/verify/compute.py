"""Arithmetic instructions: legality, then scalars or pointers."""

from __future__ import annotations

import cython

from pyebpf.verify.signs import SIGNS

if not cython.compiled:
    from pyebpf.bits import (
        S32_MAX,
        S32_MIN,
        S64_MIN,
        U32_MAX,
        cbool,
        i32,
        s64,
        shl64,
        sign32,
        sign64,
        status,
        swap_bytes,
        wrap32,
        wrap64,
    )
    from pyebpf.verify.access import assign_id, is_pointer, leaks, read_reg, unknown_reg, write_reg
    from pyebpf.verify.alu import negate, scalar_op, truncate
    from pyebpf.verify.bounds import (
        check_sane,
        is_const,
        mark_const_scalar,
        mark_known,
        no_bounds,
        sync_bounds,
        zero_extend,
    )  # fmt: skip
    from pyebpf.verify.env import Env, fail, reg, unsupported
    from pyebpf.verify.model import (
        ADD,
        ADD_CONST,
        ADD_CONST32,
        ADD_CONST64,
        ARSH,
        C_ALU64,
        DIV,
        EACCES,
        EINVAL,
        END,
        LSH,
        MOD,
        MOV,
        NEG,
        RSH,
        SCALAR,
        SRC_X,
        SUB,
        InsP,
        RegP,
        clear_reg,
    )  # fmt: skip
    from pyebpf.verify.pointers import pointer_op
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.signext import sign_extend, sign_extend32
    from pyebpf.verify.stack import width


def check_unary(env: Env, ins: InsP, op: i32) -> status:
    """neg and the byte swaps."""
    dst: i32 = ins.dst
    is64: cbool = ins.cls == C_ALU64
    if op == NEG:
        if ins.code & SRC_X or ins.src or ins.off or ins.imm:
            return fail(env, EINVAL, "BPF_NEG uses reserved fields")
    elif (
        ins.src or ins.off or (ins.imm != 16 and ins.imm != 32 and ins.imm != 64) or (is64 and ins.code & SRC_X)
    ):  # fmt: skip
        return fail(env, EINVAL, "BPF_END uses reserved fields")
    read_reg(env, dst)
    if leaks(env, reg(env, dst)):
        return fail(env, EACCES, f"R{dst} pointer arithmetic prohibited")
    write_reg(env, dst)
    d = reg(env, dst)
    if op == NEG and d.kind == SCALAR:
        negate(d, env.fake + 0, is64)
    elif op == END and d.kind == SCALAR:
        swap(d, ins.imm // 8, is64 or ins.code & SRC_X != 0)
    else:
        unknown_reg(env, dst)
    check_sane(d)
    return 0


def swap(d: RegP, nbytes: i32, reverse: cbool) -> None:
    """The low bytes: reversed, when only the known bits survive, or as they are."""
    if not reverse:
        if nbytes < 8:
            truncate(d, nbytes)
            clear_id(d)
        return
    d.tv = swap_bytes(d.tv, nbytes)
    d.tm = swap_bytes(d.tm, nbytes)
    clear_id(d)
    no_bounds(d)
    sync_bounds(d)


def clear_id(r: RegP) -> None:
    """Equal to nothing else."""
    r.id = 0
    if r.kind == SCALAR:
        r.off = 0


def move_signed(env: Env, ins: InsP, is64: cbool) -> status:
    """r = (s8, s16, s32)r"""
    s = reg(env, ins.src)
    d = reg(env, ins.dst)
    nbits: i32 = ins.off
    if s.kind != SCALAR:
        unknown_reg(env, ins.dst)
        if not is64:
            zero_extend(d)
            sync_bounds(d)
        return 0
    unchanged: cbool = s.umax < shl64(1, nbits - 1)
    if unchanged:
        assign_id(env, s)
    d[0] = s[0]
    if not unchanged:
        clear_id(d)
    if is64:
        sign_extend(d, nbits // 8)
    else:
        sign_extend32(d, nbits // 8)
        zero_extend(d)
        sync_bounds(d)
    return 0


def move_reg(env: Env, ins: InsP, is64: cbool) -> status:
    """r = r, or its low half."""
    s = reg(env, ins.src)
    d = reg(env, ins.dst)
    if is64:
        if ins.off:
            if leaks(env, s):
                return fail(env, EACCES, f"R{ins.src} sign-extension part of pointer")
            return move_signed(env, ins, True)
        assign_id(env, s)
        d[0] = s[0]
        return 0
    if leaks(env, s):
        return fail(env, EACCES, f"R{ins.src} partial copy of pointer")
    if ins.off:
        return move_signed(env, ins, False)
    if s.kind != SCALAR:
        unknown_reg(env, ins.dst)
    else:
        fits: cbool = width(s) <= 32
        if fits:
            assign_id(env, s)
        d[0] = s[0]
        if not fits:
            clear_id(d)
    zero_extend(d)
    sync_bounds(d)
    return 0


def check_move(env: Env, ins: InsP) -> status:
    """mov and movsx."""
    is64: cbool = ins.cls == C_ALU64
    if ins.code & SRC_X:
        if is64 and ins.off == 1:
            return unsupported(env, "addr_space_cast")
        if (ins.off != 0 and ins.off != 8 and ins.off != 16 and (ins.off != 32 or not is64)) or ins.imm:
            return fail(env, EINVAL, "BPF_MOV uses reserved fields")
        read_reg(env, ins.src)
    elif ins.src or ins.off:
        return fail(env, EINVAL, "BPF_MOV uses reserved fields")
    write_reg(env, ins.dst)
    if ins.code & SRC_X:
        move_reg(env, ins, is64)
    else:
        d = reg(env, ins.dst)
        d.precise = 0 if env.bpf_capable else 1
        mark_const_scalar(d, wrap64(ins.imm) if is64 else wrap32(wrap64(ins.imm)))
    check_sane(reg(env, ins.dst))
    return 0


def link_sum(env: Env, op: i32, is64: cbool, narrow: cbool, d: RegP, s: RegP) -> None:
    """After d += or -= a constant, d is still known relative to what it was a copy of; after anything else not.

    narrow: the high half of d was zero before; a 32-bit sum keeps the relation only then.
    """
    off: s64
    if not env.bpf_capable or (op != ADD and op != SUB) or not d.id or not is_const(s, not is64):
        clear_id(d)
        return
    off = sign64(s.tv) if is64 else sign32(s.tv)
    if op == SUB:
        off = -off if off != S64_MIN else S64_MIN
    if d.id & ADD_CONST or off > S32_MAX or off <= S32_MIN or not (is64 or narrow):
        clear_id(d)
        return
    d.id = d.id | (ADD_CONST64 if is64 else ADD_CONST32)
    d.off = off


def compute_reg(env: Env, op: i32, is64: cbool, dst: i32, src: i32) -> status:
    """r OP= r"""
    d = reg(env, dst)
    s = reg(env, src)
    a = env.fake + 2
    b = env.fake + 3
    if is_pointer(s):
        if is_pointer(d):
            if op == SUB and env.allow_ptr_leaks:
                unknown_reg(env, dst)
                return 0
            return fail(env, EACCES, f"R{dst} pointer {SIGNS[op >> 4]} pointer prohibited")
        mark_precise(env, dst)
        a[0] = s[0]
        b[0] = d[0]
        return pointer_op(env, op, is64, dst, d, a, b, True)
    if is_pointer(d):
        mark_precise(env, src)
        a[0] = d[0]
        b[0] = s[0]
        return pointer_op(env, op, is64, dst, d, a, b, False)
    if d.precise:
        mark_precise(env, src)
    b[0] = s[0]
    narrow: cbool = d.umax <= U32_MAX
    scalar_op(op, is64, d, b)
    if src == dst:
        clear_id(d)
    else:
        link_sum(env, op, is64, narrow, d, b)
    return 0


def compute_imm(env: Env, op: i32, is64: cbool, dst: i32, imm: i32) -> status:
    """r OP= constant"""
    d = reg(env, dst)
    a = env.fake + 2
    b = env.fake + 3
    clear_reg(b)
    b.kind = SCALAR
    mark_known(b, wrap64(imm))
    if is_pointer(d):
        a[0] = d[0]
        return pointer_op(env, op, is64, dst, d, a, b, False)
    narrow: cbool = d.umax <= U32_MAX
    scalar_op(op, is64, d, b)
    link_sum(env, op, is64, narrow, d, b)
    return 0


def check_binary(env: Env, ins: InsP, op: i32) -> status:
    """All operations of two operands."""
    is64: cbool = ins.cls == C_ALU64
    division: cbool = op == DIV or op == MOD
    nbits: i32 = 64 if is64 else 32
    bad_off: cbool = ins.off != 0 and not (ins.off == 1 and division)
    if ins.code & SRC_X:
        if ins.imm or bad_off:
            return fail(env, EINVAL, "BPF_ALU uses reserved fields")
        read_reg(env, ins.src)
    elif ins.src or bad_off:
        return fail(env, EINVAL, "BPF_ALU uses reserved fields")
    read_reg(env, ins.dst)
    if not ins.code & SRC_X:
        if division and ins.imm == 0:
            return fail(env, EINVAL, "div by zero")
        if (op == LSH or op == RSH or op == ARSH) and (ins.imm < 0 or ins.imm >= nbits):
            return fail(env, EINVAL, f"invalid shift {ins.imm}")
    write_reg(env, ins.dst)
    if ins.code & SRC_X:
        compute_reg(env, op, is64, ins.dst, ins.src)
    else:
        compute_imm(env, op, is64, ins.dst, ins.imm)
    check_sane(reg(env, ins.dst))
    return 0


def check_alu(env: Env, ins: InsP) -> status:
    """An instruction of class ALU or ALU64."""
    op: i32 = ins.code & 0xF0
    if op == END or op == NEG:
        return check_unary(env, ins, op)
    if op == MOV:
        return check_move(env, ins)
    if op > END:
        return fail(env, EINVAL, f"invalid BPF_ALU opcode {op:x}")
    return check_binary(env, ins, op)
