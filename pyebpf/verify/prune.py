"""Pruning: a path may end where an earlier one, already found safe, was in a state at least as general.

NOT_EXACT compares with a state whose paths are done: what they did not depend on is ignored.
RANGE_WITHIN compares with one still being explored, for the loops of callbacks; EXACT finds endless loops.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import U32_MAX, cbool, i32, status, u32, u64
    from pyebpf.verify.bounds import mark_unknown
    from pyebpf.verify.env import Env
    from pyebpf.verify.livestack import live_slots
    from pyebpf.verify.model import (
        ADD_CONST,
        BUF,
        EXACT,
        FP,
        ID_MAP_SIZE,
        KIND_MASK,
        MAP_KEY,
        MAP_VALUE,
        MEM,
        NOT_EXACT,
        NOT_INIT,
        PKT,
        PKT_META,
        SCALAR,
        SLOT0,
        STACK,
        TP_BUFFER,
        RegP,
        clear_reg,
    )  # fmt: skip
    from pyebpf.verify.state import Frame, State, frame_insn, is_full_scalar, is_spilled
    from pyebpf.verify.tnum import tnum_in


def same_ids(env: Env, old: u32, cur: u32) -> cbool:
    """Equal ids in the one state are equal in the other."""
    if (old != 0) != (cur != 0):
        return False
    if old == 0:
        return True
    i: i32
    for i in range(env.idmap_n):
        if env.idmap_old[i] == old:
            return env.idmap_cur[i] == cur
        if env.idmap_cur[i] == cur:
            return False
    if env.idmap_n == ID_MAP_SIZE:
        return False
    env.idmap_old[env.idmap_n] = old
    env.idmap_cur[env.idmap_n] = cur
    env.idmap_n += 1
    return True


def same_scalar_ids(env: Env, old: u32, cur: u32) -> cbool:
    """The same, where no id counts as one of its own."""
    if old == 0:
        env.tmp_id += 1
        old = env.tmp_id
    if cur == 0:
        env.tmp_id += 1
        cur = env.tmp_id
    return same_ids(env, old, cur)


def within(old: RegP, cur: RegP) -> cbool:
    """Every range of cur lies in old's."""
    return (
        old.umin <= cur.umin
        and old.umax >= cur.umax
        and old.smin <= cur.smin
        and old.smax >= cur.smax
        and old.u32min <= cur.u32min
        and old.u32max >= cur.u32max
        and old.s32min <= cur.s32min
        and old.s32max >= cur.s32max
    )


def same_place(old: RegP, cur: RegP) -> cbool:
    """Kind, fixed offset, and what a pointer points to."""
    return (
        old.kind == cur.kind
        and old.off == cur.off
        and old.range == cur.range
        and old.map == cur.map
        and old.map_uid == cur.map_uid
        and old.size == cur.size
    )


def same_bounds(old: RegP, cur: RegP) -> cbool:
    """All five descriptions agree."""
    return (
        old.tv == cur.tv
        and old.tm == cur.tm
        and old.umin == cur.umin
        and old.umax == cur.umax
        and old.smin == cur.smin
        and old.smax == cur.smax
        and old.u32min == cur.u32min
        and old.u32max == cur.u32max
        and old.s32min == cur.s32min
        and old.s32max == cur.s32max
    )


def exactly(env: Env, old: RegP, cur: RegP) -> cbool:
    """The same value, up to the names of ids."""
    return (
        same_place(old, cur)
        and same_bounds(old, cur)
        and same_ids(env, old.id, cur.id)
        and same_ids(env, old.ref_id, cur.ref_id)
    )


def scalar_safe(env: Env, old: RegP, cur: RegP, how: i32) -> cbool:
    """What held for the old scalar's values holds for the current one's.

    Without an id the old one was related to nothing: relations of the current one only say more.
    """
    if not old.precise and how == NOT_EXACT and env.bpf_capable:
        return True
    if not within(old, cur) or not tnum_in(old.tv, old.tm, cur.tv, cur.tm):
        return False
    if old.id == 0:
        return True
    if (old.id & ADD_CONST) != (cur.id & ADD_CONST):
        return False
    if old.id & ADD_CONST and old.off != cur.off:
        return False
    if not same_scalar_ids(env, old.id, cur.id):
        return False
    # a sum is related to what it was added to, too
    return not old.id & ADD_CONST or same_ids(env, old.id & ~ADD_CONST & U32_MAX, cur.id & ~ADD_CONST & U32_MAX)


def packet_safe(env: Env, old: RegP, cur: RegP) -> cbool:
    """At least as many bytes are known to be there."""
    if old.range < 0 or cur.range < 0:
        if old.range != cur.range:
            return False
    elif old.range > cur.range:
        return False
    if old.off != cur.off or not same_ids(env, old.id, cur.id):
        return False
    return within(old, cur) and tnum_in(old.tv, old.tm, cur.tv, cur.tm)


def reg_safe(env: Env, old: RegP, cur: RegP, how: i32) -> cbool:
    """Whether a register of a state found safe stands for the current one."""
    if how == EXACT:
        return exactly(env, old, cur)
    if old.kind == NOT_INIT and (how == NOT_EXACT or cur.kind == NOT_INIT):
        return True
    if old.kind != cur.kind:
        return False
    base: i32 = old.kind & KIND_MASK
    if base == SCALAR:
        return scalar_safe(env, old, cur, how)
    if base == MAP_VALUE or base == MAP_KEY or base == MEM or base == BUF or base == TP_BUFFER:
        return (
            same_place(old, cur)
            and within(old, cur)
            and tnum_in(old.tv, old.tm, cur.tv, cur.tm)
            and same_ids(env, old.id, cur.id)
            and same_ids(env, old.ref_id, cur.ref_id)
        )
    if base == PKT or base == PKT_META:
        return packet_safe(env, old, cur)
    if base == STACK:
        return exactly(env, old, cur) and old.frameno == cur.frameno
    return exactly(env, old, cur)


def all_misc(env: Env, s: RegP) -> cbool:
    """A load of the whole slot gives an unknown scalar."""
    if s.spill or s.zero:
        return False
    return env.allow_uninit_stack or s.misc == 0xFF


def as_scalar(env: Env, s: RegP) -> RegP:
    """The scalar that a load of the whole slot gives; env.fake[7] stands for an unknown one, [6] for no scalar."""
    if is_full_scalar(s):
        return s
    if all_misc(env, s):
        return env.fake + 7
    return env.fake + 6


def slot_safe(env: Env, old: RegP, cur: RegP, in_use: cbool, how: i32) -> cbool:
    """Whether a slot of a state found safe stands for the current one. in_use: the current stack reaches it."""
    was: i32 = old.spill | old.misc | old.zero
    if not in_use:
        if how != NOT_EXACT:
            return False
        # unwritten bytes, and misc ones where uninitialised reads are allowed, need no counterpart
        return was == 0 or (env.allow_uninit_stack and not (old.spill | old.zero))
    if how != NOT_EXACT and (old.spill != cur.spill or old.misc != cur.misc or old.zero != cur.zero):
        return False
    if was == 0 or (env.allow_uninit_stack and not (old.spill | old.zero)):
        return True
    a = as_scalar(env, old)
    b = as_scalar(env, cur)
    if a.kind == SCALAR and b.kind == SCALAR:
        return reg_safe(env, a, b, how)
    # misc may be replaced by zero, and by anything where uninitialised reads are allowed; the rest must agree
    if old.spill & ~cur.spill or old.zero & ~cur.zero:
        return False
    if not env.allow_uninit_stack and old.misc & ~(cur.misc | cur.zero):
        return False
    if is_spilled(old):
        return reg_safe(env, old, cur, how)
    return True


def frame_safe(env: Env, old: Frame, cur: Frame, live: i32, how: i32) -> cbool:
    """Whether a frame of a state found safe stands for the current one. live: registers still read."""
    i: i32
    if old.callback_depth > cur.callback_depth:
        return False
    for i in range(11):
        if live >> i & 1 and not reg_safe(env, old.regs + i, cur.regs + i, how):
            return False
    none = env.fake + 6
    for i in range(old.nslots):
        s = old.regs + (SLOT0 + i)
        if i < cur.nslots:
            if not slot_safe(env, s, cur.regs + (SLOT0 + i), True, how):
                return False
        elif not slot_safe(env, s, none, False, how):
            return False
    return True


def states_equal(env: Env, old: State, cur: State, how: i32) -> cbool:
    """Whether a stored state stands for the current one."""
    i: i32
    if old.curframe != cur.curframe:
        return False
    env.idmap_n = 0
    env.tmp_id = env.id_gen
    clear_reg(env.fake + 6)
    mark_unknown(env.fake + 7)
    for i in range(old.curframe + 1):
        a: Frame = old.frames[i]
        b: Frame = cur.frames[i]
        if a.callsite != b.callsite:
            return False
        if not frame_safe(env, a, b, (env.aux + frame_insn(old, i)).live, how):
            return False
    return True


def maybe_looping(old: State, cur: State) -> cbool:
    """The registers are what they were: perhaps nothing changes any more."""
    a: Frame = old.frames[old.curframe]
    b: Frame = cur.frames[cur.curframe]
    i: i32
    if old.curframe != cur.curframe:
        return False
    for i in range(FP):
        p = a.regs + i
        q = b.regs + i
        if not same_place(p, q) or not same_bounds(p, q) or p.id != q.id or p.ref_id != q.ref_id:
            return False
    return True


def clean_frame(f: Frame, live: i32, slots: u64) -> None:
    """Drop what is not read any more."""
    i: i32
    for i in range(FP):
        if not live >> i & 1:
            clear_reg(f.regs + i)
    for i in range(f.nslots):
        if not slots >> i & 1:
            clear_reg(f.regs + (SLOT0 + i))


def clean_state(env: Env, state: State) -> status:
    """The state's paths are done, so all reads are known: drop what none of them made."""
    i: i32
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        live_slots(env, state, i)
        clean_frame(f, (env.aux + frame_insn(state, i)).live, env.live_mask)
    state.cleaned = True
    return 0


def same_callsites(a: State, b: State) -> cbool:
    """Reached through the same calls."""
    i: i32
    if a.curframe != b.curframe:
        return False
    for i in range(a.curframe, 0, -1):
        x: Frame = a.frames[i]
        y: Frame = b.frames[i]
        if x.callsite != y.callsite:
            return False
    return True
