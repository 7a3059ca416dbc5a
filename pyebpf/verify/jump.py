"""Conditional jumps: both ways explored unless one cannot be taken, each with what it tells."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import U32_MAX, cbool, i32, s64, status, u32, u64, wrap64
    from pyebpf.verify.access import is_pointer, leaks, read_reg
    from pyebpf.verify.alu import bounds_add
    from pyebpf.verify.bounds import check_sane, const_value, is_const, mark_known, sync_bounds, zero_extend
    from pyebpf.verify.branch import flip, negate_op, refine, scalar_taken
    from pyebpf.verify.env import Env, fail, reg, unsupported
    from pyebpf.verify.history import push_step
    from pyebpf.verify.model import (
        ADD_CONST,
        ADD_CONST32,
        AT_PKT_END,
        BEYOND_PKT_END,
        C_JMP32,
        EACCES,
        EFAULT,
        EINVAL,
        FP,
        HIST_DST_STACK,
        HIST_SRC_STACK,
        JA,
        JCOND,
        JEQ,
        JGE,
        JGT,
        JLE,
        JLT,
        JNE,
        KIND_MASK,
        MAP_KEY,
        MAP_PTR,
        MAP_VALUE,
        MAX_LINKED,
        MAX_PACKET_OFF,
        MAYBE_NULL,
        MEM,
        PKT,
        PKT_END,
        PKT_META,
        SCALAR,
        SLOT0,
        SOCK_COMMON,
        SOCKET,
        SRC_X,
        STACK,
        TCP_SOCK,
        TOOK_FALSE,
        TOOK_TRUE,
        InsP,
        RegP,
        clear_reg,
    )  # fmt: skip
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.show import show_changes
    from pyebpf.verify.state import Frame, State, copy_state, copy_value, frame_insn, is_spilled
    from pyebpf.verify.tnum import tnum_add
    from pyebpf.verify.widen import open_entry, widen_state

MAX_PENDING = 8192


def is_pkt_any(r: RegP) -> cbool:
    """A packet pointer of any kind."""
    return r.kind == PKT or r.kind == PKT_META or r.kind == PKT_END


def pkt_taken(op: i32, a: RegP, b: RegP) -> i32:
    """Comparison of a packet pointer known to be at or past the end with the end."""
    p = a
    if b.kind == PKT_END:
        pass
    elif a.kind == PKT_END:
        p = b
        op = flip(op)
    else:
        return -1
    if p.range >= 0:
        return -1
    if (op == JLE or op == JGT) and p.range == BEYOND_PKT_END:
        return 1 if op == JGT else 0
    if op == JLT or op == JGE:
        return 1 if op == JGE else 0
    return -1


def never_null(r: RegP) -> cbool:
    """A pointer of a kind that is not NULL once checked."""
    base: i32 = r.kind & KIND_MASK
    if r.kind & MAYBE_NULL:
        return False
    return (
        base == SOCKET or base == TCP_SOCK or base == MAP_VALUE or base == MAP_KEY or base == SOCK_COMMON
        or base == MEM or base == MAP_PTR
    )  # fmt: skip


def taken(op: i32, a: RegP, b: RegP, is32: cbool) -> i32:
    """1 the jump is always taken, 0 never, -1 unknown."""
    if is_pkt_any(a) and is_pkt_any(b) and not is32:
        return pkt_taken(op, a, b)
    if is_pointer(a) or is_pointer(b):
        if not is_const(b, is32):
            a, b = b, a
            op = flip(op)
        if is32 or not is_const(b, is32) or not never_null(a) or const_value(b, is32) != 0:
            return -1
        return 0 if op == JEQ else 1 if op == JNE else -1
    return scalar_taken(op, a, b, is32)


def push_branch(env: Env, target: i32) -> State:
    """Remember the way not followed now, with a copy of the state."""
    other = copy_state(env.state)
    other.insn_idx = target
    other.prev_idx = env.insn_idx
    other.log_pos = env.log.pos
    if other.parent is not None:
        other.parent.branches += 1
    env.pending.append(other)
    return other


def check_pending(env: Env) -> status:
    """Not too many ways are waiting."""
    if len(env.pending) > MAX_PENDING:
        fail(env, EFAULT, f"The sequence of {MAX_PENDING} jumps is too complex.")
    return 0


def add_linked(env: Env, r: RegP, wanted: u32, entry: i32) -> None:
    """Collect a scalar equal to the wanted one, as far as there is room; beyond it is let go."""
    if r.kind != SCALAR or (r.id & ~ADD_CONST & U32_MAX) != wanted:
        return
    if env.linked_n < MAX_LINKED:
        env.linked[env.linked_n] = entry
        env.linked_n += 1
    else:
        r.id = 0


def collect_linked(env: Env, state: State, rid: u32) -> status:
    """Every live scalar of the state that has the id, or the id plus a constant."""
    wanted: u32 = rid & ~ADD_CONST & U32_MAX
    i: i32
    j: i32
    live: i32
    for i in range(state.curframe, -1, -1):
        f: Frame = state.frames[i]
        live = (env.aux + frame_insn(state, i)).live
        for j in range(FP):
            if live >> j & 1:
                add_linked(env, f.regs + j, wanted, 512 | j << 3 | i)
        for j in range(f.nslots):
            s = f.regs + (SLOT0 + j)
            if is_spilled(s):
                add_linked(env, s, wanted, j << 3 | i)
    return 0


def pack_linked(env: Env) -> u64:
    """The collected places in one word (history.py)."""
    word: u64 = 0
    i: i32
    for i in range(env.linked_n - 1, -1, -1):
        word = wrap64(word << 10) | env.linked[i]
    return wrap64(word << 4) | env.linked_n


def sync_linked_regs(env: Env, state: State, known: RegP) -> status:
    """Give what was learnt of one scalar to those equal to it."""
    i: i32
    e: i32
    delta: s64
    fake = env.fake + 4
    save = env.fake + 5
    base: u32 = known.id & ~ADD_CONST & U32_MAX
    save[0] = known[0]
    for i in range(env.linked_n):
        e = env.linked[i]
        f: Frame = state.frames[e & 7]
        r = f.regs + ((e >> 3 & 63) + (0 if e & 512 else SLOT0))
        if r.kind != SCALAR or (r.id & ~ADD_CONST & U32_MAX) != base:
            continue
        if (r.id ^ save.id) & ADD_CONST == ADD_CONST:
            continue  # one sum in 64 bits, the other in 32
        if not (r.id | save.id) & ADD_CONST or r.off == save.off:
            copy_value(r, save)
        else:
            off: i32 = r.off
            rid: u32 = r.id
            delta = off
            delta -= save.off
            clear_reg(fake)
            fake.kind = SCALAR
            mark_known(fake, wrap64(delta))
            copy_value(r, save)
            r.off = off
            r.id = rid
            bounds_add(r, fake)
            tnum_add(r, fake.tv, fake.tm)
            if (rid | save.id) & ADD_CONST32:
                zero_extend(r)
            sync_bounds(r)
    return 0


def find_packet_range(state: State, p: RegP, kind: i32, open_end: cbool) -> status:
    """Everything with p's id has p's fixed offset readable before it, one byte more when the end is open."""
    i: i32
    j: i32
    base: u32 = p.id
    new: i32 = p.off + (1 if open_end else 0)
    if p.off < 0 or (p.off == 0 and open_end):
        return 0
    if p.umax > MAX_PACKET_OFF or p.umax + p.off > MAX_PACKET_OFF:
        return 0
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        for j in range(SLOT0 + f.nslots):
            r = f.regs + j
            if r.kind == kind and r.id == base and (j < SLOT0 or is_spilled(r)) and r.range < new:
                r.range = new
    return 0


def mark_end(state: State, regno: i32, beyond: cbool) -> status:
    """The register is at the packet's end, or beyond it."""
    f: Frame = state.frames[state.curframe]
    r = f.regs + regno
    if r.kind == PKT:
        r.range = BEYOND_PKT_END if beyond else AT_PKT_END
    return 0


def is_start(r: RegP, kind: i32) -> cbool:
    """An unmodified pointer to the start of a packet's part."""
    return r.kind == kind and r.id == 0 and r.off == 0 and r.tm == 0 and r.tv == 0


def limit_pair(p: RegP, end: RegP) -> cbool:
    """A pointer and what bounds it: packet and its end, metadata and the packet."""
    return (p.kind == PKT and end.kind == PKT_END) or (p.kind == PKT_META and is_start(end, PKT))


def match_packet(env: Env, op: i32, dst: i32, src: i32, this: State, other: State) -> status:
    """1 when the jump compares a packet pointer with its bound; then one of the ways knows more."""
    d = reg(env, dst)
    s = reg(env, src)
    p = d
    regno: i32 = dst
    if limit_pair(d, s):
        pass
    elif limit_pair(s, d):
        p = s
        regno = src
        op = flip(op)
    else:
        return 0
    if op == JGT:
        find_packet_range(this, p, p.kind, False)
        mark_end(other, regno, True)
    elif op == JLT:
        find_packet_range(other, p, p.kind, True)
        mark_end(this, regno, False)
    elif op == JGE:
        find_packet_range(this, p, p.kind, True)
        mark_end(other, regno, False)
    elif op == JLE:
        find_packet_range(other, p, p.kind, False)
        mark_end(this, regno, True)
    else:
        return 0
    return 1


def not_null(env: Env, r: RegP) -> status:
    """The pointer has been found not to be NULL."""
    if r.kind & KIND_MASK == MAP_VALUE:
        desc = env.maps[r.map]
        if desc.inner is not None:
            return unsupported(env, "a map in a map")
    r.kind &= ~MAYBE_NULL
    return 0


def mark_nulls(env: Env, state: State, regno: i32, is_null: cbool) -> status:
    """Every pointer with the register's id is NULL, or is not."""
    i: i32
    j: i32
    cur: Frame = state.frames[state.curframe]
    rid: u32 = (cur.regs + regno).id
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        for j in range(SLOT0 + f.nslots):
            r = f.regs + j
            if not r.kind & MAYBE_NULL or r.id != rid or (j >= SLOT0 and not is_spilled(r)):
                continue
            if r.tm or r.tv or r.off:
                continue
            if is_null:
                r.kind = SCALAR
                r.ref_id = 0
            else:
                not_null(env, r)
            r.id = 0
    return 0


def learn_pointers(env: Env, ins: InsP, op: i32, is32: cbool, d: RegP, s: RegP, other: State) -> status:
    """What a comparison tells of pointers: not NULL, or so many bytes of packet."""
    of: Frame = other.frames[other.curframe]
    by_reg: cbool = ins.code & SRC_X != 0
    if not is32 and by_reg and is_pointer(d) and is_pointer(s) and (d.kind & MAYBE_NULL) != (s.kind & MAYBE_NULL):
        which: i32 = ins.src if s.kind & MAYBE_NULL else ins.dst
        if op == JEQ:
            not_null(env, of.regs + which)
        elif op == JNE:
            not_null(env, reg(env, which))
    if not is32 and not by_reg and ins.imm == 0 and (op == JEQ or op == JNE) and d.kind & MAYBE_NULL:
        mark_nulls(env, env.state, ins.dst, op == JNE)
        mark_nulls(env, other, ins.dst, op == JEQ)
        return 0
    if by_reg and not is32 and match_packet(env, op, ins.dst, ins.src, env.state, other):
        return 0
    if leaks(env, d):
        return fail(env, EACCES, f"R{ins.dst} pointer comparison prohibited")
    return 0


def read_operands(env: Env, ins: InsP) -> status:
    """Legality of the operands; the right one is env.fake[0] when it is a constant."""
    flags: i32 = 0
    read_reg(env, ins.dst)
    d = reg(env, ins.dst)
    if ins.code & SRC_X:
        if ins.imm:
            return fail(env, EINVAL, "BPF_JMP/JMP32 uses reserved fields")
        read_reg(env, ins.src)
        s = reg(env, ins.src)
        if not (is_pkt_any(d) and is_pkt_any(s)) and leaks(env, s):
            return fail(env, EACCES, f"R{ins.src} pointer comparison prohibited")
        if s.kind == STACK:
            flags |= HIST_SRC_STACK
    else:
        if ins.src:
            return fail(env, EINVAL, "BPF_JMP/JMP32 uses reserved fields")
        s = env.fake + 0
        clear_reg(s)
        s.kind = SCALAR
        mark_known(s, wrap64(ins.imm))
    if d.kind == STACK:
        flags |= HIST_DST_STACK
    if flags:
        push_step(env, flags, 0)
    return 0


def one_way(env: Env, ins: InsP, d: RegP, s: RegP, way: i32) -> status:
    """The jump is always or never taken: what decided it must hold in pruned states too."""
    if not is_pointer(d):
        mark_precise(env, ins.dst)
    if ins.code & SRC_X and not is_pointer(s):
        mark_precise(env, ins.src)
    (env.aux + env.insn_idx).marks |= TOOK_TRUE if way else TOOK_FALSE
    if env.log.trace:
        show_changes(env)
    env.insn_idx += 1 + (ins.off if way else 0)
    return 0


def link_both(env: Env, ins: InsP, d: RegP, s: RegP, other: State) -> status:
    """Scalars equal to the compared ones learn too, on both ways."""
    of: Frame = other.frames[other.curframe]
    if ins.code & SRC_X and s.kind == SCALAR and s.id:
        sync_linked_regs(env, env.state, s)
        sync_linked_regs(env, other, of.regs + ins.src)
    if d.kind == SCALAR and d.id:
        sync_linked_regs(env, env.state, d)
        sync_linked_regs(env, other, of.regs + ins.dst)
    return 0


def both_ways(env: Env, ins: InsP, op: i32, is32: cbool, d: RegP, s: RegP) -> status:
    """Follow the fall-through, keep the jump for later."""
    by_reg: cbool = ins.code & SRC_X != 0
    env.linked_n = 0
    if by_reg and s.kind == SCALAR and s.id:
        collect_linked(env, env.state, s.id)
    if d.kind == SCALAR and d.id:
        collect_linked(env, env.state, d.id)
    if env.linked_n > 1:
        push_step(env, 0, pack_linked(env))
    other = push_branch(env, env.insn_idx + 1 + ins.off)
    check_pending(env)
    of: Frame = other.frames[other.curframe]
    od = of.regs + ins.dst
    os = env.fake + 1
    if by_reg:
        os = of.regs + ins.src
    else:
        os[0] = s[0]
    if d.kind == SCALAR and s.kind == SCALAR:
        refine(negate_op(op), d, s, is32)
        refine(op, od, os, is32)
        check_sane(od)
        check_sane(os)
        check_sane(d)
        check_sane(s)
    link_both(env, ins, d, s, other)
    (env.aux + env.insn_idx).marks |= TOOK_TRUE | TOOK_FALSE
    learn_pointers(env, ins, op, is32, d, s, other)
    if env.log.trace:
        show_changes(env)
    env.insn_idx += 1
    return 0


def check_may_goto(env: Env, ins: InsP) -> status:
    """may_goto: goes on until its budget is used up, then jumps."""
    idx: i32 = env.insn_idx
    if ins.cls == C_JMP32 or ins.code & SRC_X or ins.src or ins.dst or ins.imm:
        return fail(env, EINVAL, f"invalid may_goto imm {ins.imm}")
    state: State = env.state
    old = open_entry(env, state, state.parent, idx)
    other = push_branch(env, idx + 1)
    check_pending(env)
    other.may_goto_depth += 1
    if old is not None:
        widen_state(env, old, other)
    env.insn_idx += 1 + ins.off
    return 0


def check_jump(env: Env, ins: InsP) -> status:
    """A conditional jump."""
    op: i32 = ins.code & 0xF0
    is32: cbool = ins.cls == C_JMP32
    if op == JA or op > JCOND:
        return fail(env, EINVAL, f"invalid BPF_JMP/JMP32 opcode {op:x}")
    if op == JCOND:
        return check_may_goto(env, ins)
    read_operands(env, ins)
    d = reg(env, ins.dst)
    s = env.fake + 0
    if ins.code & SRC_X:
        s = reg(env, ins.src)
    way: i32 = taken(op, d, s, is32)
    if way >= 0:
        return one_way(env, ins, d, s, way)
    return both_ways(env, ins, op, is32, d, s)
