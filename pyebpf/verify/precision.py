"""Precision: which scalars' exact ranges a verdict depended on.

Ranges of imprecise scalars are ignored when states are compared. When a range decides something, the
path is walked back: every instruction says in which registers and slots its inputs were, and each
checkpoint passed on the way has those marked.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status, u64
    from pyebpf.verify.env import Env, Subfunc, insn_text, say
    from pyebpf.verify.model import (
        A_CMPXCHG,
        A_FETCH,
        A_LOAD_ACQ,
        A_STORE_REL,
        ARGS,
        C_ALU,
        C_ALU64,
        C_JMP,
        C_JMP32,
        C_LDX,
        C_ST,
        C_STX,
        CALLS_CALLBACK,
        END,
        FP,
        GIVE_UP,
        HIST_DST_STACK,
        HIST_FRAME,
        HIST_SPI_SHIFT,
        HIST_SRC_STACK,
        HIST_STACK,
        JA,
        JCALL,
        JCOND,
        JEXIT,
        M_ABS,
        M_ATOMIC,
        M_IND,
        MAX_FRAMES,
        MOV,
        NEG,
        S_CALL,
        SCALAR,
        SLOT0,
        SRC_X,
    )  # fmt: skip
    from pyebpf.verify.show import show_state
    from pyebpf.verify.state import Frame, State, is_spilled, is_spilled_scalar


def bt_empty(env: Env) -> cbool:
    """Nothing is looked for any more."""
    i: i32
    for i in range(env.bt_frame + 1):
        if env.bt_regs[i] or env.bt_slots[i]:
            return False
    return True


def bt_reset(env: Env, frame: i32) -> None:
    """Look for nothing, from this frame."""
    i: i32
    for i in range(8):
        env.bt_regs[i] = 0
        env.bt_slots[i] = 0
    env.bt_frame = frame


def bit(n: i32) -> u64:
    """Bit n."""
    one: u64 = 1
    return one << n


def has_reg(env: Env, regno: i32) -> cbool:
    """The register of the current frame is looked for."""
    return env.bt_regs[env.bt_frame] >> regno & 1 != 0


def set_reg(env: Env, regno: i32) -> None:
    """Look for it."""
    if regno != FP:
        env.bt_regs[env.bt_frame] |= bit(regno)


def clear_reg_bit(env: Env, regno: i32) -> None:
    """Found."""
    env.bt_regs[env.bt_frame] &= ~bit(regno)


def mark_all_precise(env: Env, st: State) -> status:
    """The fallback: every scalar of every checkpoint on the path counts."""
    if env.log.trace2:
        say(env, "mark_precise: frame0: falling back to forcing all scalars precise\n")
    i: i32
    j: i32
    # the state being explored itself stays: its marks are not looked at
    s: State = st.parent
    while s is not None:
        for i in range(s.curframe + 1):
            f: Frame = s.frames[i]
            for j in range(FP):
                r = f.regs + j
                if r.kind == SCALAR:
                    r.precise = 1
            for j in range(f.nslots):
                r = f.regs + (SLOT0 + j)
                if is_spilled(r) and r.kind == SCALAR:
                    r.precise = 1
        s = s.parent
    return 0


def linked_wanted(env: Env, e: i32) -> cbool:
    """One linked place is looked for."""
    n: i32 = e >> 3 & 63
    if e >> 9 & 1:
        return env.bt_regs[e & 7] >> n & 1 != 0
    return env.bt_slots[e & 7] >> n & 1 != 0


def sync_linked(env: Env, linked: u64) -> None:
    """If one of the linked scalars is looked for, all are."""
    left: i32 = linked & 15
    e: i32
    wanted: cbool = False
    v: u64 = linked >> 4
    while left:
        e = v & 1023
        wanted = wanted or linked_wanted(env, e)
        v >>= 10
        left -= 1
    if not wanted:
        return
    left = linked & 15
    v = linked >> 4
    while left:
        e = v & 1023
        if e >> 9 & 1:
            env.bt_regs[e & 7] |= bit(e >> 3 & 63)
        else:
            env.bt_slots[e & 7] |= bit(e >> 3 & 63)
        v >>= 10
        left -= 1


def back_alu(env: Env, op: i32, uses_reg: cbool, dst: i32, src: i32) -> None:
    """Walk back over arithmetic."""
    if not has_reg(env, dst):
        return
    if op == END or op == NEG:
        return
    if op == MOV:
        clear_reg_bit(env, dst)
        if uses_reg:
            set_reg(env, src)
        return
    if uses_reg:
        set_reg(env, src)


def back_fill(env: Env, regno: i32, flags: i32) -> status:
    """Walk back over a load: a fill leads to its slot."""
    if not has_reg(env, regno):
        return 0
    clear_reg_bit(env, regno)
    if flags & HIST_STACK == 0:
        return 0
    env.bt_slots[flags & HIST_FRAME] |= bit(flags >> HIST_SPI_SHIFT & 63)
    return 0


def back_spill(env: Env, cls: i32, src: i32, flags: i32) -> status:
    """Walk back over a spill: the slot leads to the register."""
    if flags & HIST_STACK == 0:
        return 0
    spi: i32 = flags >> HIST_SPI_SHIFT & 63
    fr: i32 = flags & HIST_FRAME
    if env.bt_slots[fr] >> spi & 1 == 0:
        return 0
    env.bt_slots[fr] &= ~bit(spi)
    if cls == C_STX:
        set_reg(env, src)
    return 0


def leave_frame(env: Env) -> None:
    """From a function's entry to its caller."""
    env.bt_regs[env.bt_frame] = 0
    env.bt_frame -= 1


def back_local_call(env: Env, idx: i32, target: Subfunc, subseq: i32) -> status:
    """Walk back from a function's first instruction to its call: arguments go to the caller."""
    if subseq < target.start or subseq >= target.end or env.bt_frame == 0:
        return GIVE_UP
    regs: u64 = env.bt_regs[env.bt_frame]
    if regs & ~ARGS or env.bt_slots[env.bt_frame]:
        return GIVE_UP
    leave_frame(env)
    env.bt_regs[env.bt_frame] |= regs
    return 0


def back_call(env: Env, idx: i32, subseq: i32) -> status:
    """Walk back over a helper call, or from a callback's first instruction to the call that entered it."""
    aux = env.aux + idx
    if aux.marks & CALLS_CALLBACK and subseq != idx + 1:
        if env.bt_frame == 0 or env.bt_regs[env.bt_frame] & ~ARGS or env.bt_slots[env.bt_frame]:
            return GIVE_UP
        leave_frame(env)  # the helper makes the callback's arguments
        return 0
    clear_reg_bit(env, 0)
    if env.bt_regs[env.bt_frame] & ARGS:
        return GIVE_UP
    return 0


def back_exit(env: Env, subseq: i32) -> status:
    """Walk back from a call's return into the function that returned; a callback's R0 goes no further."""
    caller: i32 = env.bt_frame
    if (env.aux + subseq).marks & CALLS_CALLBACK:
        env.bt_regs[caller] &= ~ARGS
    if env.bt_regs[caller] & ARGS or caller + 1 >= MAX_FRAMES:
        return GIVE_UP
    r0: cbool = False
    if subseq > 0:
        call = env.insns + (subseq - 1)
        r0 = call.code == C_JMP | JCALL and call.src == S_CALL and has_reg(env, 0)
    clear_reg_bit(env, 0)
    env.bt_frame += 1
    env.bt_regs[env.bt_frame] = 1 if r0 else 0
    env.bt_slots[env.bt_frame] = 0
    return 0


def back_compare(env: Env, dst: i32, src: i32, flags: i32) -> None:
    """Walk back over a comparison of registers: if one counts, so does the other."""
    if not has_reg(env, dst) and not has_reg(env, src):
        return
    if not flags & HIST_SRC_STACK:
        set_reg(env, src)
    if not flags & HIST_DST_STACK:
        set_reg(env, dst)


def back_jump(env: Env, idx: i32, subseq: i32, flags: i32) -> status:
    """Walk back over a jump, call or return."""
    ins = env.insns + idx
    op: i32 = ins.code & 0xF0
    if op == JCALL:
        if ins.src == S_CALL:
            return back_local_call(env, idx, env.funcs[env.func_names[idx + ins.imm + 1]], subseq)
        return back_call(env, idx, subseq)
    if op == JEXIT:
        return back_exit(env, subseq)
    if op != JA and op != JCOND and ins.code & SRC_X:
        back_compare(env, ins.dst, ins.src, flags)
    return 0


def back_atomic(env: Env, imm: i32, dst: i32, src: i32, flags: i32) -> status:
    """Walk back over an atomic operation."""
    if imm == A_LOAD_ACQ:
        return back_fill(env, dst, flags)
    if has_reg(env, dst):
        return GIVE_UP
    loaded: i32 = -1
    if imm == A_CMPXCHG:
        loaded = 0
    elif imm & A_FETCH:
        loaded = src
    if flags & HIST_STACK and imm != A_STORE_REL:
        # the slot holds data afterwards; what was loaded from it was a spilled register
        if env.bt_slots[flags & HIST_FRAME] >> (flags >> HIST_SPI_SHIFT & 63) & 1:
            return GIVE_UP
        if loaded >= 0 and has_reg(env, loaded):
            env.bt_slots[flags & HIST_FRAME] |= bit(flags >> HIST_SPI_SHIFT & 63)
        return 0
    if imm == A_STORE_REL:
        return back_spill(env, C_STX, src, flags)
    return 0  # as Linux: a register loaded goes on being looked for


def back_insn(env: Env, idx: i32, subseq: i32, step: i32) -> status:
    """Walk back over one instruction: 0, or GIVE_UP. step: its record in the history, -1."""
    ins = env.insns + idx
    if ins.code == 0:
        return 0
    flags: i32 = 0
    linked: u64 = 0
    if step >= 0:
        rec = env.hist + step
        flags = rec.flags
        linked = rec.linked
    if env.log.trace2:
        say(env, f"mark_precise: frame{env.bt_frame}: regs={regs_text(env.bt_regs[env.bt_frame])} ")
        say(env, f"stack={slots_text(env.bt_slots[env.bt_frame])} before {idx}: {insn_text(env, idx)}\n")
    if linked:
        sync_linked(env, linked)
    err: i32 = 0
    cls: i32 = ins.cls
    if cls == C_ALU or cls == C_ALU64:
        back_alu(env, ins.code & 0xF0, ins.code & SRC_X != 0, ins.dst, ins.src)
    elif cls == C_LDX:
        err = back_fill(env, ins.dst, flags)
    elif cls == C_STX and ins.code & 0xE0 == M_ATOMIC:
        err = back_atomic(env, ins.imm, ins.dst, ins.src, flags)
    elif cls == C_STX or cls == C_ST:
        if has_reg(env, ins.dst):
            return GIVE_UP
        err = back_spill(env, cls, ins.src, flags)
    elif cls == C_JMP or cls == C_JMP32:
        err = back_jump(env, idx, subseq, flags)
    elif has_reg(env, ins.dst):
        clear_reg_bit(env, ins.dst)
        if ins.code & 0xE0 == M_ABS or ins.code & 0xE0 == M_IND:
            return GIVE_UP
    if err:
        return err
    if linked:
        sync_linked(env, linked)
    return 0


def regs_text(mask: u64) -> str:
    """r1,r2"""
    return ",".join([f"r{i}" for i in range(11) if mask >> i & 1])


def slots_text(mask: u64) -> str:
    """-8,-16"""
    return ",".join([str(-8 * (i + 1)) for i in range(64) if mask >> i & 1])


def mark_parent(env: Env, st: State) -> status:
    """Mark what is looked for in a checkpoint; what is marked already needs no more walking. 1: something new."""
    changed: i32 = 0
    fr: i32
    i: i32
    regs: u64
    slots: u64
    for fr in range(env.bt_frame, -1, -1):
        f: Frame = st.frames[fr]
        regs = env.bt_regs[fr]
        for i in range(11):
            if regs >> i & 1 == 0:
                continue
            r = f.regs + i
            if r.kind != SCALAR or r.precise:
                env.bt_regs[fr] &= ~bit(i)
            else:
                r.precise = 1
                changed = 1
        slots = env.bt_slots[fr]
        for i in range(64):
            if slots >> i & 1 == 0:
                continue
            if i >= f.nslots:
                env.bt_slots[fr] &= ~bit(i)
                continue
            r = f.regs + (SLOT0 + i)
            if not is_spilled_scalar(r) or r.precise:
                env.bt_slots[fr] &= ~bit(i)
            else:
                r.precise = 1
                changed = 1
        if env.log.trace2:
            say(env, f"mark_precise: frame{fr}: parent state regs={regs_text(env.bt_regs[fr])} ")
            say(env, f"stack={slots_text(env.bt_slots[fr])}: ")
            show_state(env, st, fr, 1)
    return changed


def give_up(env: Env, start: State) -> status:
    """Mark everything and end."""
    mark_all_precise(env, start)
    bt_reset(env, 0)
    return 1


def walk_back(env: Env, start: State) -> status:
    """Walk from a state's next instruction, itself not done yet, to where everything looked for was made.

    1: marks changed.
    """
    st: State = start
    changed: i32 = 0
    skip_first: cbool = True
    last: i32 = start.insn_idx
    first: i32 = st.first
    subseq: i32 = -1
    i: i32
    step: i32
    left: i32
    prev: i32
    if bt_empty(env):
        return 0
    while True:
        if env.log.trace2:
            say(env, f"mark_precise: frame{env.bt_frame}: last_idx {last} first_idx {first} subseq_idx {subseq} \n")
        if last < 0:
            return give_up(env, start)
        i = last
        step = st.hist
        left = st.hist_cnt
        while True:
            if skip_first:
                skip_first = False
            elif back_insn(env, i, subseq, step if left > 0 and (env.hist + step).idx == i else -1):
                return give_up(env, start)
            if bt_empty(env):
                bt_reset(env, 0)
                return changed
            subseq = i
            # the instruction before: recorded, or simply the one above
            if i == st.first and (left == 0 or (left == 1 and (env.hist + step).idx == i)):
                break
            prev = i - 1
            if left > 0 and (env.hist + step).idx == i:
                prev = (env.hist + step).prev
                step = (env.hist + step).parent
                left -= 1
            i = prev
            if i < 0 or i >= env.n:
                return give_up(env, start)
        st = st.parent
        if st is None:
            break
        if mark_parent(env, st):
            changed = 1
        if bt_empty(env):
            bt_reset(env, 0)
            return changed
        subseq = first
        last = st.last
        first = st.first
    return give_up(env, start)


def mark_precise(env: Env, regno: i32) -> status:
    """A register of the current frame decided something: its range counts."""
    if not env.bpf_capable:
        return 0
    bt_reset(env, env.state.curframe)
    set_reg(env, regno)
    walk_back(env, env.state)
    return 0


def mark_slot_precise(env: Env, frameno: i32, spi: i32) -> status:
    """A spilled scalar decided something."""
    if not env.bpf_capable:
        return 0
    bt_reset(env, env.state.curframe)
    env.bt_slots[frameno] |= bit(spi)
    walk_back(env, env.state)
    return 0


def spread_precision(env: Env, old: State, cur: State) -> status:
    """cur is pruned by old: what counted from old on counts for cur's path too. 1: marks changed."""
    fr: i32
    i: i32
    found: list
    bt_reset(env, old.curframe)
    for fr in range(old.curframe, -1, -1):
        f: Frame = old.frames[fr]
        found = []
        for i in range(FP):
            r = f.regs + i
            if r.kind == SCALAR and r.precise:
                env.bt_regs[fr] |= bit(i)
                if env.log.trace2:
                    found.append(f"r{i}")
        for i in range(f.nslots):
            r = f.regs + (SLOT0 + i)
            if is_spilled_scalar(r) and r.precise:
                env.bt_slots[fr] |= bit(i)
                if env.log.trace2:
                    found.append(f"fp{-8 * (i + 1)}")
        if found:
            say(env, f"frame {fr}: propagating {','.join(found)}\n")
    return walk_back(env, cur)
