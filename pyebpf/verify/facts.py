"""What every path agrees on, instruction by instruction: for the JIT and the run-time."""

from __future__ import annotations

import struct

import cython

from pyebpf.spec.verified import NO_MAP, FactFlag

if not cython.compiled:
    from pyebpf.bits import i32, sign64
    from pyebpf.verify.env import Env
    from pyebpf.verify.model import (
        CTX,
        FLOW_KEYS,
        KIND_MASK,
        MAP_VALUE,
        MEM,
        PKT,
        SEEN,
        STACK,
        TOOK_FALSE,
        TOOK_TRUE,
        RegP,
    )  # fmt: skip

MIXED = 255


def fact_kind(base: i32) -> i32:
    """PtrKind of a register kind, MIXED for those without one."""
    if base == STACK:
        return 2
    if base == PKT:
        return 4
    if base == MAP_VALUE:
        return 3
    if base == CTX:
        return 1
    if base == FLOW_KEYS:
        return 5
    if base == MEM:
        return 6
    return MIXED


def note_access(env: Env, r: RegP, off: i32, size: i32) -> None:
    """A path makes this access."""
    a = env.aux + env.insn_idx
    kind: i32 = fact_kind(r.kind & KIND_MASK)
    where: i32 = 0
    if r.kind == STACK and r.tm == 0 and r.frameno == env.state.curframe:
        where = off + r.off + sign64(r.tv)
    if a.ptr == 0:
        a.ptr = kind
        a.off = where
        return
    if a.ptr != kind:
        a.ptr = MIXED
    if a.off != where:
        a.off = 0


def note_map(env: Env, index: i32) -> None:
    """A path makes this helper call with this map."""
    a = env.aux + env.insn_idx
    if a.map_idx == 0:
        a.map_idx = index + 1
    elif a.map_idx != index + 1:
        a.map_idx = -1


def encode_facts(env: Env) -> bytes:
    """The records of VerifiedProgram.facts."""
    i: i32
    out = []
    for i in range(env.n):
        a = env.aux + i
        ins = env.insns + i
        flags = 0
        if a.marks & SEEN:
            flags |= int(FactFlag.SEEN)
            took = a.marks & (TOOK_TRUE | TOOK_FALSE)
            if took == TOOK_TRUE:
                flags |= int(FactFlag.ALWAYS)
            elif took == TOOK_FALSE:
                flags |= int(FactFlag.NEVER)
        elif ins.code == 0 and i and (env.insns + (i - 1)).code == 0x18 and (env.aux + (i - 1)).marks & SEEN:
            flags |= int(FactFlag.SEEN)
        kind = a.ptr if 0 < a.ptr < MIXED else 0
        map_idx = a.map_idx - 1 if a.map_idx > 0 else NO_MAP
        out.append(struct.pack("<BBHi", flags, kind, map_idx, a.off if kind == 2 else 0))
    return b"".join(out)
