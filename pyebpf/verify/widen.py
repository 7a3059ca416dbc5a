"""Widening: in loops that only converge when forgetting, what changes and decides nothing becomes unknown."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import i32, status
    from pyebpf.verify.bounds import mark_unknown
    from pyebpf.verify.env import Env
    from pyebpf.verify.model import FP, SCALAR, SLOT0, RegP
    from pyebpf.verify.prune import same_bounds, same_callsites
    from pyebpf.verify.state import Frame, State, is_spilled


def open_entry(env: Env, state: State, cur: State, idx: i32) -> State:
    """The newest unfinished state stored at idx before `cur` on its path, in the same call chain; None."""
    mixed = (idx ^ env.frame.callsite) & 0xFFFFFFFF
    states: list = env.explored[mixed % env.n]
    i: i32
    for i in range(len(states) - 1, -1, -1):
        s: State = states[i]
        if s.branches and s.insn_idx == idx and same_callsites(s, state) and s.dfs_depth < cur.dfs_depth:
            return s
    return None


def widen(env: Env, old: RegP, cur: RegP) -> None:
    """A scalar that changes from round to round and decides nothing becomes unknown, so that the loop converges."""
    if old.kind != SCALAR or cur.kind != SCALAR or old.precise or cur.precise:
        return
    if same_bounds(old, cur) and old.id == cur.id:
        return
    mark_unknown(cur)


def widen_state(env: Env, old: State, cur: State) -> status:
    """Widen all frames."""
    i: i32
    j: i32
    for i in range(old.curframe + 1):
        a: Frame = old.frames[i]
        b: Frame = cur.frames[i]
        for j in range(FP):
            widen(env, a.regs + j, b.regs + j)
        for j in range(min(a.nslots, b.nslots)):
            if is_spilled(a.regs + (SLOT0 + j)) and is_spilled(b.regs + (SLOT0 + j)):
                widen(env, a.regs + (SLOT0 + j), b.regs + (SLOT0 + j))
    return 0
