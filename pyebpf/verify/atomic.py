"""Atomic instructions."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.access import leaks, read_reg, unknown_reg, write_reg
    from pyebpf.verify.env import Env, fail, reg
    from pyebpf.verify.memory import access, check_load, check_store
    from pyebpf.verify.model import (
        A_CMPXCHG,
        A_FETCH,
        A_LOAD_ACQ,
        A_STORE_REL,
        A_XCHG,
        ADD,
        AND,
        CTX,
        EACCES,
        EINVAL,
        FLOW_KEYS,
        KIND_MASK,
        OR,
        PKT,
        PKT_META,
        SOCK_COMMON,
        SOCKET,
        TCP_SOCK,
        XOR,
        InsP,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.show import kind_name

UNKNOWN_VALUE = -2


def target_ok(r: RegP) -> cbool:
    """Memory of this kind can be accessed atomically."""
    base: i32 = r.kind & KIND_MASK
    return not (
        base == CTX or base == PKT or base == PKT_META or base == FLOW_KEYS or base == SOCKET or base == SOCK_COMMON
        or base == TCP_SOCK
    )  # fmt: skip


def is_rmw(imm: i32) -> cbool:
    """Reads, computes and writes."""
    op: i32 = imm & ~A_FETCH
    return imm == A_XCHG or imm == A_CMPXCHG or (
        imm >= 0 and imm < 256 and (op == ADD or op == OR or op == AND or op == XOR)
    )  # fmt: skip


def check_rmw(env: Env, ins: InsP, size: i32) -> status:
    """*(dst + off) OP= src, with or without the old value."""
    imm: i32 = ins.imm
    if size != 4 and size != 8:
        return fail(env, EINVAL, "invalid atomic operand size")
    read_reg(env, ins.src)
    read_reg(env, ins.dst)
    if imm == A_CMPXCHG:
        read_reg(env, 0)
        if leaks(env, reg(env, 0)):
            return fail(env, EACCES, "R0 leaks addr into mem")
    if leaks(env, reg(env, ins.src)):
        return fail(env, EACCES, f"R{ins.src} leaks addr into mem")
    d = reg(env, ins.dst)
    if not target_ok(d):
        return fail(env, EACCES, f"BPF_ATOMIC stores into R{ins.dst} {kind_name(d.kind)} is not allowed")
    loaded: i32 = -1
    if imm & A_FETCH:
        loaded = 0 if imm == A_CMPXCHG else ins.src
        write_reg(env, loaded)
        unknown_reg(env, loaded)
    access(env, ins.dst, ins.off, size, False, -1, 0, -1, True, False)
    if loaded >= 0:
        access(env, ins.dst, ins.off, size, False, -1, 0, loaded, True, False)
    return access(env, ins.dst, ins.off, size, True, UNKNOWN_VALUE, 1, -1, True, False)


def check_atomic(env: Env, ins: InsP, size: i32) -> status:
    """An instruction of class STX, mode ATOMIC."""
    imm: i32 = ins.imm
    if is_rmw(imm):
        return check_rmw(env, ins, size)
    if imm == A_LOAD_ACQ:
        read_reg(env, ins.src)
        s = reg(env, ins.src)
        kind: i32 = s.kind
        ok: cbool = target_ok(s)
        check_load(env, ins.dst, ins.src, ins.off, size, True, False)
        if not ok:
            return fail(env, EACCES, f"BPF_ATOMIC loads from R{ins.src} {kind_name(kind)} is not allowed")
        return 0
    if imm == A_STORE_REL:
        check_store(env, ins.dst, ins.src, ins.off, size, True)
        d = reg(env, ins.dst)
        if not target_ok(d):
            return fail(env, EACCES, f"BPF_ATOMIC stores into R{ins.dst} {kind_name(d.kind)} is not allowed")
        return 0
    return fail(env, EINVAL, f"BPF_ATOMIC uses invalid atomic opcode {imm & 0xFFFFFFFF:02x}")
