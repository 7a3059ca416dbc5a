"""Calls between functions of the program, and their returns."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import S64_MAX, S64_MIN, i32, status
    from pyebpf.verify.bounds import mark_not_init
    from pyebpf.verify.env import Env, fail, reg, say, scratch_all, scratch_reg
    from pyebpf.verify.livestack import update_chain
    from pyebpf.verify.model import (
        E2BIG,
        EACCES,
        EINVAL,
        MAX_FRAMES,
        SCALAR,
        STACK,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.show import show_state
    from pyebpf.verify.state import Frame, State, new_frame
    from pyebpf.verify.widen import open_entry, widen_state


def clear_caller_saved(env: Env) -> None:
    """R0..R5 are not readable after a call."""
    i: i32
    for i in range(6):
        mark_not_init(reg(env, i))
        scratch_reg(env, i)


def enter(env: Env, state: State, subprog: i32, callsite: i32) -> Frame:
    """A new innermost frame; its arguments are left to the caller."""
    if state.curframe + 1 >= MAX_FRAMES:
        fail(env, E2BIG, f"the call stack of {state.curframe + 2} frames is too deep")
    f = new_frame(callsite, state.curframe + 1, subprog)
    state.frames.append(f)
    state.curframe += 1
    return f


def check_local_call(env: Env, target: i32) -> status:
    """call pc+imm: R1..R5 are the arguments."""
    i: i32
    state: State = env.state
    caller: Frame = env.frame
    callee = enter(env, state, env.func_names[target], env.insn_idx)
    for i in range(1, 6):
        (callee.regs + i)[0] = (caller.regs + i)[0]
    clear_caller_saved(env)
    env.frame = callee
    env.live_cur = None
    if env.log.trace:
        say(env, "caller:\n")
        show_state(env, state, caller.frameno, 1)
        say(env, "callee:\n")
        show_state(env, state, state.curframe, 1)
    env.insn_idx = target
    return 0


def invalid_scalar(env: Env, r: RegP, lo: i32, hi: i32, where: str) -> status:
    """A returned value out of its range."""
    text = f"{where} the register R0 has"
    if r.smin > S64_MIN:
        text += f" smin={r.smin}"
    if r.smax < S64_MAX:
        text += f" smax={r.smax}"
    if r.smin == S64_MIN and r.smax == S64_MAX:
        text += " unknown scalar value"
    return fail(env, EINVAL, f"{text} should have been in [{lo}, {hi}]")


def leave(env: Env) -> status:
    """exit from a function that was called: R0 goes to the caller, a callback back to its call."""
    state: State = env.state
    callee: Frame = env.frame
    caller: Frame = state.frames[state.curframe - 1]
    r0 = callee.regs + 0
    if r0.kind == STACK:
        return fail(env, EINVAL, "cannot return stack pointer to the caller")
    if callee.callback:
        if r0.kind != SCALAR:
            return fail(env, EACCES, "R0 not a scalar value")
        mark_precise(env, 0)
        if r0.smin < callee.ret_lo or r0.smax > callee.ret_hi:
            return invalid_scalar(env, r0, callee.ret_lo, callee.ret_hi, "At callback return")
    else:
        (caller.regs + 0)[0] = r0[0]
    target: i32 = callee.callsite if callee.callback else callee.callsite + 1
    if env.log.trace:
        say(env, "returning from callee:\n")
        show_state(env, state, callee.frameno, 1)
        say(env, f"to caller at {target}:\n")
        show_state(env, state, caller.frameno, 1)
    update_chain(env, state)  # what this path read in the callee, which it will not see again
    state.frames.pop()
    state.curframe -= 1
    env.frame = caller
    env.insn_idx = target
    scratch_all(env)
    if callee.callback:
        old = open_entry(env, state, state, target)
        if old is not None:
            widen_state(env, old, state)
    return 0
