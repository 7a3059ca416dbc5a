"""What every path agrees on, instruction by instruction: for the JIT and the run-time."""

from __future__ import annotations

import cython

from pyebpf.spec.verified import FACT_SIZE, NO_MAP, FactFlag

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
FLAG_SEEN = int(FactFlag.SEEN)
FLAG_ALWAYS = int(FactFlag.ALWAYS)
FLAG_NEVER = int(FactFlag.NEVER)


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


def seen_flags(env: Env, i: i32) -> i32:
    """FactFlag of an instruction."""
    marks: i32 = (env.aux + i).marks
    took: i32 = marks & (TOOK_TRUE | TOOK_FALSE)
    if not marks & SEEN:
        # the second half of a 64-bit constant is seen with the first
        if i and (env.insns + i).code == 0 and (env.insns + (i - 1)).code == 0x18:
            return FLAG_SEEN if (env.aux + (i - 1)).marks & SEEN else 0
        return 0
    if took == TOOK_TRUE:
        return FLAG_SEEN | FLAG_ALWAYS
    if took == TOOK_FALSE:
        return FLAG_SEEN | FLAG_NEVER
    return FLAG_SEEN


def encode_facts(env: Env) -> bytes:
    """The records of VerifiedProgram.facts."""
    out = bytearray(FACT_SIZE * env.n)
    i: i32
    kind: i32
    index: i32
    where: i32
    at: i32
    for i in range(env.n):
        a = env.aux + i
        at = FACT_SIZE * i
        kind = a.ptr if 0 < a.ptr < MIXED else 0
        index = a.map_idx - 1 if a.map_idx > 0 else NO_MAP
        out[at] = seen_flags(env, i)
        out[at + 1] = kind
        out[at + 2] = index & 255
        out[at + 3] = index >> 8
        if kind == 2 and a.off:
            where = a.off
            out[at + 4] = where & 255
            out[at + 5] = where >> 8 & 255
            out[at + 6] = where >> 16 & 255
            out[at + 7] = where >> 24 & 255
    return bytes(out)
