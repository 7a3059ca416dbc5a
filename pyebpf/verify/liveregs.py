"""Which registers are read later: a backward dataflow over the whole program, before exploring it."""

from __future__ import annotations

import cython

from pyebpf.spec.helpers import BY_ID

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.env import Env, Subfunc, insn_text, say
    from pyebpf.verify.flowgraph import fall_to, jump_to, post_order
    from pyebpf.verify.model import (
        A_CMPXCHG,
        A_FETCH,
        A_LOAD_ACQ,
        A_STORE_REL,
        C_JMP,
        C_JMP32,
        C_LD,
        C_LDX,
        C_ST,
        C_STX,
        END,
        JA,
        JCALL,
        JCOND,
        JEXIT,
        M_ABS,
        M_ATOMIC,
        M_IND,
        MOV,
        NEG,
        SRC_X,
    )  # fmt: skip

CALLER_SAVED = 0x3F


def uses_of_atomic(imm: i32, dst: i32, src: i32) -> i32:
    """(used | defined << 16) of an atomic operation."""
    used: i32 = dst | src
    if imm == A_CMPXCHG:
        return used | 1 | 1 << 16
    if imm == A_LOAD_ACQ:
        return src | dst << 16
    if imm == A_STORE_REL:
        return used
    if imm & A_FETCH:
        return used | src << 16
    return used


def uses_of_jump(env: Env, i: i32, op: i32, dst: i32, src: i32) -> i32:
    """(used | defined << 16) of a jump."""
    ins = env.insns + i
    used: i32
    if op == JA or op == JCOND:
        return 0
    if op == JEXIT:
        return 1
    if op == JCALL:
        used = 0x3E
        proto = BY_ID.get(ins.imm) if ins.src == 0 else None
        if proto is not None:
            used = (1 << (len(proto.args) + 1)) - 2
        return used | CALLER_SAVED << 16
    return dst | (src if ins.code & SRC_X else 0)


def uses(env: Env, i: i32) -> i32:
    """(used | defined << 16): register masks of an instruction."""
    ins = env.insns + i
    dst: i32 = 1 << ins.dst
    src: i32 = 1 << ins.src
    op: i32 = ins.code & 0xF0
    cls: i32 = ins.cls
    mode: i32 = ins.code & 0xE0
    if cls == C_LD:
        if mode == M_ABS or mode == M_IND:
            return 0x3FF  # as Linux: anything may be used
        return dst << 16
    if cls == C_LDX:
        return src | dst << 16
    if cls == C_ST:
        return dst
    if cls == C_STX:
        return uses_of_atomic(ins.imm, dst, src) if mode == M_ATOMIC else dst | src
    if cls == C_JMP or cls == C_JMP32:
        return uses_of_jump(env, i, op, dst, src)
    if op == MOV:
        return (src if ins.code & SRC_X else 0) | dst << 16
    if op == END or op == NEG:
        return dst | dst << 16
    return dst | (src if ins.code & SRC_X else 0) | dst << 16


def live_registers(env: Env) -> status:
    """Fill Aux.live."""
    f: Subfunc
    for fn in env.funcs:
        f = fn
        live_in_function(env, post_order(env, f.start, f.end))
    if env.log.trace2:
        show_live(env)
    return 0


def live_in_function(env: Env, order: list) -> status:
    """The dataflow of one function to its fixed point; functions do not share registers."""
    changed: cbool = True
    i: i32
    k: i32
    a: i32
    b: i32
    both: i32
    after: i32
    before: i32
    while changed:
        changed = False
        for k in range(len(order)):
            i = order[k]
            a = fall_to(env, i)
            b = jump_to(env, i)
            after = 0
            if a >= 0:
                after |= (env.aux + a).live
            if b >= 0:
                after |= (env.aux + b).live
            both = uses(env, i)
            before = (after & ~(both >> 16)) | (both & 0xFFFF)
            if before != (env.aux + i).live:
                (env.aux + i).live = before
                changed = True
    return 0


def show_live(env: Env) -> status:
    """Level 2 of the log shows them, and the loops' components."""
    say(env, "Live regs before insn:\n")
    i: i32 = 0
    while i < env.n:
        a = env.aux + i
        head = f"{a.scc:3d} " if a.scc else "    "
        mask = "".join([str(r) if a.live >> r & 1 else "." for r in range(10)])
        say(env, f"{head}{i:3d}: {mask} {insn_text(env, i)}\n")
        i += 2 if (env.insns + i).code == 0x18 else 1
    return 0
