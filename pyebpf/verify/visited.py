"""Stored states: at prune points the current state is looked for among them, or becomes one."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status, u32, wrap32, wrap64
    from pyebpf.verify.env import Env, reject, say
    from pyebpf.verify.history import push_step
    from pyebpf.verify.model import (
        CALLS_CALLBACK,
        EINVAL,
        EXACT,
        FORCE_CHECKPOINT,
        JMP_POINT,
        MAY_GOTO,
        NOT_EXACT,
        RANGE_WITHIN,
    )  # fmt: skip
    from pyebpf.verify.precision import spread_precision
    from pyebpf.verify.prune import clean_state, maybe_looping, same_callsites, states_equal
    from pyebpf.verify.scc import add_backedge, enter_scc, exit_scc, incomplete
    from pyebpf.verify.show import line_text, state_text
    from pyebpf.verify.state import Frame, State, clear_imprecise, copy_state

LONG_HISTORY = 40


def bucket(env: Env, idx: i32) -> i32:
    """The list that states of an instruction are in."""
    f: Frame = env.frame
    mixed: u32 = wrap32(wrap64(idx ^ f.callsite))
    return mixed % env.n


def drop_if_done(env: Env, state: State) -> status:
    """A state no longer listed is needed only while paths from it are unfinished."""
    if state.listed or state.branches or state not in env.free_list or incomplete(env, state):
        return 0
    env.free_list.remove(state)
    return 0


def finish_path(env: Env, state: State) -> status:
    """One path from a state's checkpoints has ended; a checkpoint with none left is finished itself."""
    st: State = state
    while st is not None:
        st.branches -= 1
        if st.branches:
            break
        exit_scc(env, st)
        if st is not state and not st.listed:
            drop_if_done(env, st)
        st = st.parent
    return 0


def endless(env: Env, old: State, cur: State, idx: i32) -> status:
    """The loop has come back to where it was."""
    line_text(env, idx, "; ")
    say(env, f"infinite loop detected at insn {idx}\n")
    say(env, "cur state:" + state_text(env, cur, cur.curframe, 1))
    say(env, "old state:" + state_text(env, old, cur.curframe, 1))
    raise reject(env, EINVAL, f"infinite loop detected at insn {idx}", False)


def found(env: Env, old: State, cur: State, loop: i32) -> status:
    """The current path ends here: old stands for it."""
    old.hits += 1
    if (env.aux + env.insn_idx).marks & JMP_POINT:
        push_step(env, 0, 0)
    spread_precision(env, old, cur)
    if loop:
        add_backedge(env, old, cur)
    return 1


def look_at_open(env: Env, old: State, cur: State, idx: i32) -> status:
    """A state with unfinished paths: 1 it stands for the current one (a converging loop), 2 the loop goes on."""
    if (env.aux + idx).marks & CALLS_CALLBACK:
        if states_equal(env, old, cur, RANGE_WITHIN):
            return 1
        return 2
    if (env.insns + idx).code == MAY_GOTO and old.may_goto_depth != cur.may_goto_depth:
        if states_equal(env, old, cur, RANGE_WITHIN):
            return 1
    if (
        maybe_looping(old, cur)
        and old.may_goto_depth == cur.may_goto_depth
        and old.callback_unroll == cur.callback_unroll
        and states_equal(env, old, cur, EXACT)
    ):
        endless(env, old, cur, idx)
    return 2


def keep_or_evict(env: Env, states: list, old: State, idx: i32) -> cbool:
    """A state that keeps missing is taken off the list."""
    n: i32 = 64 if (env.aux + idx).marks & FORCE_CHECKPOINT and old.branches > 0 else 3
    if old.misses <= old.hits * n + n:
        return False
    old.listed = False
    states.remove(old)
    env.explored_size -= 1
    return True


def store(env: Env, states: list, cur: State, idx: i32) -> status:
    """The current state becomes a checkpoint."""
    env.total_states += 1
    env.explored_size += 1
    if env.explored_size + len(env.free_list) > env.peak_states:
        env.peak_states = env.explored_size + len(env.free_list)
    env.prev_jmps = env.jmps
    env.prev_processed = env.processed
    if env.bpf_capable:
        clear_imprecise(cur)
    new = copy_state(cur)
    new.insn_idx = idx
    new.listed = True
    enter_scc(env, new)
    cur.parent = new
    cur.first = idx
    cur.dfs_depth = new.dfs_depth + 1
    cur.hist_cnt = 0
    cur.branches = 1
    states.append(new)
    return 0


def is_visited(env: Env, idx: i32) -> status:
    """1: an equivalent state was found safe. 0: go on; the state may have been stored."""
    cur: State = env.state
    marks: i32 = (env.aux + idx).marks
    force: cbool = env.state_freq or marks & FORCE_CHECKPOINT != 0 or cur.hist_cnt > LONG_HISTORY
    add: cbool = force or (env.jmps - env.prev_jmps >= 2 and env.processed - env.prev_processed >= 8)
    where: i32 = bucket(env, idx)
    states: list = env.explored[where]
    count: i32 = 0
    i: i32
    how: i32
    loop: i32
    for i in range(len(states)):
        s: State = states[i]
        if not s.branches and s.insn_idx == idx and not s.cleaned and same_callsites(s, cur) and not incomplete(env, s):
            clean_state(env, s)
    i = len(states) - 1
    while i >= 0:
        old: State = states[i]
        i -= 1
        count += 1
        if old.insn_idx != idx:
            continue
        if old.branches:
            how = look_at_open(env, old, cur, idx)
            if how == 1:
                return found(env, old, cur, 1)
            if not force and env.jmps - env.prev_jmps < 20 and env.processed - env.prev_processed < 100:
                add = False
        else:
            loop = incomplete(env, old)
            if states_equal(env, old, cur, RANGE_WITHIN if loop else NOT_EXACT):
                return found(env, old, cur, loop)
        if add:
            old.misses += 1
        if keep_or_evict(env, states, old, idx) and (old.branches or incomplete(env, old)):
            env.free_list.append(old)
    if env.max_states < count:
        env.max_states = count
    if not env.bpf_capable and count > 64:
        return 0
    if not add:
        return 0
    return store(env, states, cur, idx)
