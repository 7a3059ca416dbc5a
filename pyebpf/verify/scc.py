"""Loops of callbacks: pruning against a state whose own paths are unfinished.

A strongly connected component of the flow graph is visited once per call chain at a time. While a visit
lasts, the paths pruned against its open states (back edges) are kept; when it ends, precision is carried
round the loop until it settles. Until then states of the component are compared by RANGE_WITHIN.
"""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    from pyebpf.bits import i32, status
    from pyebpf.verify.env import Env, say
    from pyebpf.verify.precision import spread_precision
    from pyebpf.verify.state import State, copy_state, frame_insn


class Visit:
    """One visit: the state that entered, and the back edges (old, cur) found."""

    __slots__ = ("backedges", "entry")
    entry: State
    backedges: list

    def __init__(self) -> None:
        self.entry = None
        self.backedges = []


def scc_chain(env: Env, state: State) -> object:
    """(call sites ..., component) of the innermost frame that is inside a component; None outside."""
    sites: list = []
    i: i32
    scc: i32
    for i in range(state.curframe + 1):
        idx: i32 = frame_insn(state, i)
        scc = (env.aux + idx).scc
        if scc:
            return (*sites, -scc)
        if i < state.curframe:
            sites.append(idx)
    return None


def note(env: Env, what: str, key: Any) -> status:
    """Level 2 of the log follows the visits."""
    if env.log.trace2:
        say(env, f"SCC {what} ({','.join([str(abs(site)) for site in key])})\n")
    return 0


def enter_scc(env: Env, state: State) -> status:
    """A checkpoint inside a component begins a visit when none is under way."""
    key = scc_chain(env, state)
    if key is None:
        return 0
    visit: Visit = env.sccs.get(key)
    if visit is None:
        visit = Visit()
        env.sccs[key] = visit
    if visit.entry is None:
        visit.entry = state
        note(env, "enter", key)
    return 0


def exit_scc(env: Env, state: State) -> status:
    """When the state that began a visit is finished, the loop is: carry precision round it."""
    if not env.sccs:
        return 0
    key = scc_chain(env, state)
    if key is None:
        return 0
    visit: Visit = env.sccs.get(key)
    if visit is None or visit.entry is not state:
        return 0
    visit.entry = None
    note(env, "exit", key)
    edges = visit.backedges
    changed: i32 = 1
    while changed:
        changed = 0
        for edge in edges:
            old: State = edge[0]
            cur: State = edge[1]
            if spread_precision(env, old, cur):
                changed = 1
    visit.backedges = []
    return 0


def add_backedge(env: Env, old: State, cur: State) -> status:
    """cur's path was ended by a state of a loop that is not finished."""
    key = scc_chain(env, old)
    if key is None:
        return 0
    visit: Visit = env.sccs.get(key)
    if visit is None or visit.entry is None:
        return 0
    note(env, "backedge", key)
    visit.backedges.append((old, copy_state(cur)))
    return 0


def incomplete(env: Env, state: State) -> status:
    """The state is in a loop whose back edges have not been settled."""
    if not env.sccs:
        return 0
    key = scc_chain(env, state)
    if key is None:
        return 0
    visit: Visit = env.sccs.get(key)
    return 1 if visit is not None and len(visit.backedges) > 0 else 0
