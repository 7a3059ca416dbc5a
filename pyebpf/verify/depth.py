"""Stack over the whole call chain: at most 512 bytes, and eight frames."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.env import Env, Subfunc, fail, unsupported
    from pyebpf.verify.model import C_JMP, E2BIG, EACCES, JCALL, MAX_FRAMES, S_CALL, S_FUNC

MAX_STACK = 512
LD_IMM64 = 0x18
TAIL_CALL_STACK = 256
PRIVATE_STACKS = frozenset({2, 5, 7, 17})  # tracing programs, whose functions have stacks of their own in Linux


def rounded(fn: Subfunc) -> i32:
    """Stack of a function as the call chain counts it: a multiple of 16."""
    return (fn.depth + 15) // 16 * 16


def too_deep(env: Env, frames: i32, total: i32) -> status:
    """The chain does not fit."""
    if env.prog_type in PRIVATE_STACKS:
        return unsupported(env, f"private stacks: {total} bytes over {frames} calls")
    return fail(env, EACCES, f"combined stack size of {frames} calls is {total}. Too large")


def callees(env: Env, at: i32) -> list:
    """The functions that a function calls or points to, in the order of its instructions."""
    fn: Subfunc = env.funcs[at]
    found: list = []
    i: i32
    for i in range(fn.start, fn.end):
        ins = env.insns + i
        local: cbool = ins.code == C_JMP | JCALL and ins.src == S_CALL
        pointer: cbool = ins.code == LD_IMM64 and ins.src == S_FUNC
        if local or pointer:
            target = env.func_names[i + ins.imm + 1]
            if target not in found:
                found.append(target)
    return found


def walk_calls(env: Env, calls: list, worst: dict, at: i32, total: i32, frames: i32) -> status:
    """Follow the calls of a function, depth first. worst: the chains that led to each function so far."""
    fn: Subfunc = env.funcs[at]
    if fn.has_tail_call:
        fn.tail_reachable = True
    if frames > 1 and fn.has_tail_call and total >= TAIL_CALL_STACK:
        text = f"tail_calls are not allowed when call stack of previous frames is {total} bytes. Too large"
        return fail(env, EACCES, text)
    total += rounded(fn)
    if total > MAX_STACK:
        return too_deep(env, frames, total)
    known = worst.get(at, (-1, -1))
    if total <= known[0] and frames <= known[1]:
        return 0
    worst[at] = (max(total, known[0]), max(frames, known[1]))
    if frames + 1 > MAX_FRAMES and calls[at]:
        return fail(env, E2BIG, f"the call stack of {frames + 1} frames is too deep !")
    for target in calls[at]:
        walk_calls(env, calls, worst, target, total, frames + 1)
    return 0


def recursive(calls: list) -> cbool:
    """A function calls itself, directly or not."""
    state = [0] * len(calls)
    stack = [(0, 0)]
    state[0] = 1
    while stack:
        at, child = stack.pop()
        if child == len(calls[at]):
            state[at] = 2
            continue
        stack.append((at, child + 1))
        target = calls[at][child]
        if state[target] == 1:
            return True
        if state[target] == 0:
            state[target] = 1
            stack.append((target, 0))
    return False


def check_depth(env: Env) -> status:
    """The deepest chain from the main program."""
    calls = [callees(env, at) for at in range(len(env.funcs))]
    if recursive(calls):
        return unsupported(env, "recursion")
    return walk_calls(env, calls, {}, 0, 0, 1)


def depth_text(env: Env) -> str:
    """stack depth 16+8"""
    return "+".join([str(fn.depth) for fn in env.funcs])
