"""The exploration: every path of the program, one instruction after the other, as Linux orders them."""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.bounds import mark_known
    from pyebpf.verify.cfg import check_cfg, check_funcs, find_funcs
    from pyebpf.verify.depth import check_depth
    from pyebpf.verify.env import Env, Subfunc, fail, say, scratch_all, unsupported
    from pyebpf.verify.flowgraph import find_sccs
    from pyebpf.verify.history import push_step
    from pyebpf.verify.insns import check_insn
    from pyebpf.verify.liveregs import live_registers
    from pyebpf.verify.livestack import begin_insn, end_insn, update_chain
    from pyebpf.verify.log import log_reset
    from pyebpf.verify.model import CTX, E2BIG, EFAULT, FORCE_CHECKPOINT, JMP_POINT, MAIN_CALLSITE, PRUNE_POINT, SEEN
    from pyebpf.verify.resolve import resolve
    from pyebpf.verify.show import show_insn, state_text
    from pyebpf.verify.state import Frame, State, make_room, new_frame
    from pyebpf.verify.visited import finish_path, is_visited

MAX_PROCESSED = 1000000


def start(env: Env) -> status:
    """The program's first state: R1 is the context."""
    state = State()
    f = new_frame(MAIN_CALLSITE, 0, 0)
    state.frames.append(f)
    r1 = f.regs + 1
    mark_known(r1, 0)
    r1.kind = CTX
    env.state = state
    env.frame = f
    env.explored = [[] for _ in range(env.n)]
    env.insn_idx = 0
    scratch_all(env)
    return 0


def next_path(env: Env, prune_log: cbool) -> status:
    """Take up the newest branch; 0: there is none left."""
    if not env.pending:
        return 0
    state: State = env.pending.pop()
    make_room(state)
    env.state = state
    env.frame = state.frames[state.curframe]
    env.live_cur = None
    env.insn_idx = state.insn_idx
    env.prev_idx = state.prev_idx
    if prune_log:
        log_reset(env.log, state.log_pos)
    return 1


def visit(env: Env, announce: cbool) -> status:
    """Look the state up at a prune point; 1: its path ends here."""
    if is_visited(env, env.insn_idx):
        if env.log.trace:
            if announce:
                say(env, f"\nfrom {env.prev_idx} to {env.insn_idx}: safe\n")
            else:
                say(env, f"{env.insn_idx}: safe\n")
        return 1
    return 0


def show_before(env: Env, announce: cbool) -> status:
    """The log before an instruction."""
    if env.log.trace2 and announce:
        say(env, f"\nfrom {env.prev_idx} to {env.insn_idx}:")
        say(env, state_text(env, env.state, env.state.curframe, 1))
    return show_insn(env)


def step(env: Env, announce: cbool) -> status:
    """One instruction: 0 go on, 1 the path has ended, 2 go on and announce the state."""
    idx: i32 = env.insn_idx
    result: i32
    state: State = env.state
    marks: i32
    env.cur_hist = -1
    if idx < 0 or idx >= env.n:
        return fail(env, EFAULT, f"invalid insn idx {idx} insn_cnt {env.n}")
    env.processed += 1
    if env.processed > MAX_PROCESSED:
        return fail(env, E2BIG, f"BPF program is too large. Processed {env.processed} insn")
    state.last = env.prev_idx
    state.insn_idx = idx
    marks = (env.aux + idx).marks
    if marks & PRUNE_POINT and visit(env, announce):
        return 1
    if marks & JMP_POINT:
        push_step(env, 0, 0)
    if env.log.trace:
        show_before(env, announce)
    (env.aux + idx).marks |= SEEN
    begin_insn(env)
    result = check_insn(env)
    end_insn(env, idx)
    env.prev_idx = idx
    return result


def end_path(env: Env) -> status:
    """A path is done."""
    scratch_all(env)
    finish_path(env, env.state)
    return update_chain(env, env.state)


def explore(env: Env) -> status:
    """All paths."""
    announce: cbool = False
    result: i32
    prune_log: cbool = not env.log.trace2
    start(env)
    while True:
        result = step(env, announce)
        if result != 1:
            if result == 2 or env.log.trace2:
                announce = result == 2
            elif env.log.trace:
                announce = False
            else:
                announce = False
            continue
        end_path(env)
        if not next_path(env, prune_log):
            break
        announce = True
    if prune_log:
        log_reset(env.log, 0)
    return 0


def cut_links(env: Env) -> status:
    """Break the chains of parents, so that they are not freed recursively."""
    for states in env.explored:
        for s in states:
            st: State = s
            st.parent = None
    for s in env.pending:
        st = s
        st.parent = None
    env.pending = []
    env.explored = []
    env.free_list = []
    return 0


def verify_all(env: Env, maps: Any) -> status:
    """Every pass, in Linux's order."""
    find_funcs(env)
    check_funcs(env)
    resolve(env, maps)
    check_cfg(env)
    find_sccs(env)
    live_registers(env)
    explore(env)
    return check_depth(env)


def not_yet(env: Env) -> status:
    """A program type without rules."""
    return unsupported(env, f"program type {env.prog_type}")


def first_func(env: Env) -> Subfunc:
    """The main program."""
    fn: Subfunc = env.funcs[0]
    return fn


def force_mark(env: Env, idx: i32) -> cbool:
    """The instruction always stores its state."""
    return (env.aux + idx).marks & FORCE_CHECKPOINT != 0


def frame_of(env: Env) -> Frame:
    """The current frame."""
    return env.frame
