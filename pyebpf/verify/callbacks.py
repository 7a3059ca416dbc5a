"""Callbacks of helpers: the body is explored from the call, and returns to it."""

from __future__ import annotations

import cython

from pyebpf.spec.kinds import MapType

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.args import Call
    from pyebpf.verify.bounds import mark_known, mark_not_init, mark_unknown
    from pyebpf.verify.env import Env, Subfunc, fail, reg, say, unsupported
    from pyebpf.verify.frames import enter
    from pyebpf.verify.jump import check_pending, push_branch
    from pyebpf.verify.model import EINVAL, ENOTSUPP, MAP_KEY, MAP_PTR, MAP_VALUE
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.state import Frame, State, make_room

LOOP = 181
ITERABLE = frozenset(
    {
        MapType.HASH,
        MapType.ARRAY,
        MapType.PERCPU_HASH,
        MapType.PERCPU_ARRAY,
        MapType.LRU_HASH,
        MapType.LRU_PERCPU_HASH,
    }
)


def push_callback(env: Env, call: Call) -> status:
    """Explore the callback later, from a copy of the state with one frame more."""
    caller: Frame = env.frame
    subprog: i32 = env.func_names[call.func]
    fn: Subfunc = env.funcs[subprog]
    fn.is_callback = True
    other = push_branch(env, fn.start)
    check_pending(env)
    make_room(other)
    callee = enter(env, other, subprog, env.insn_idx)
    callee.callback = call.number
    callee.ret_lo = 0
    callee.ret_hi = 1
    r1 = callee.regs + 1
    r2 = callee.regs + 2
    r3 = callee.regs + 3
    if call.number == LOOP:
        mark_unknown(r1)
        r2[0] = (caller.regs + 3)[0]
    else:
        mark_known(r1, 0)
        r1.kind = MAP_PTR
        r1.map = call.map
        mark_known(r2, 0)
        r2.kind = MAP_KEY
        r2.map = call.map
        mark_known(r3, 0)
        r3.kind = MAP_VALUE
        r3.map = call.map
        (callee.regs + 4)[0] = (caller.regs + 3)[0]
    other.callback_unroll += 1
    outer: Frame = other.frames[other.curframe - 1]
    outer.callback_depth += 1
    caller.callback_depth = 0
    return 0


def call_back(env: Env, call: Call) -> status:
    """bpf_loop(n, callback, arg, flags) or for_each_map_elem(map, callback, arg, flags)."""
    caller: Frame = env.frame
    if call.func not in env.func_names:
        return fail(env, EINVAL, "callback function not static")
    if call.number != LOOP:
        if env.maps[call.map].type not in ITERABLE:
            return fail(env, ENOTSUPP, "callback function not allowed for map")
        return push_callback(env, call)
    mark_precise(env, 1)
    r1 = reg(env, 1)
    if caller.callback_depth < r1.umax:
        return push_callback(env, call)
    caller.callback_depth = 0
    if env.log.trace2:
        say(env, f"frame{env.state.curframe} bpf_loop iteration limit reached\n")
    return 0


def refuse(env: Env) -> status:
    """Callbacks of other helpers."""
    return unsupported(env, "this callback")


def nothing_readable(f: Frame) -> None:
    """No argument."""
    i: i32
    for i in range(1, 6):
        mark_not_init(f.regs + i)


def copied(state: State) -> cbool:
    """Whether the state is a branch."""
    return state.parent is not None
