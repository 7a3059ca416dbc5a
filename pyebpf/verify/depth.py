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


def walk_calls(env: Env, at: i32, total: i32, frames: i32, in_tail: cbool) -> status:
    """Follow the calls of a function, depth first."""
    fn: Subfunc = env.funcs[at]
    i: i32
    target: i32
    if fn.has_tail_call:
        fn.tail_reachable = True
    if frames > 1 and fn.has_tail_call and total >= TAIL_CALL_STACK:
        text = f"tail_calls are not allowed when call stack of previous frames is {total} bytes. Too large"
        return fail(env, EACCES, text)
    total += rounded(fn)
    if total > MAX_STACK:
        return too_deep(env, frames, total)
    i = fn.start
    while i < fn.end:
        ins = env.insns + i
        local: cbool = ins.code == C_JMP | JCALL and ins.src == S_CALL
        pointer: cbool = ins.code == LD_IMM64 and ins.src == S_FUNC
        if local or pointer:
            target = env.func_names[i + ins.imm + 1]
            if frames + 1 > MAX_FRAMES:
                return fail(env, E2BIG, f"the call stack of {frames + 1} frames is too deep !")
            walk_calls(env, target, total, frames + 1, in_tail)
        i += 1
    return 0


def has_recursion(env: Env, at: i32, path: list) -> cbool:
    """A function calls itself, directly or not."""
    if at in path:
        return True
    fn: Subfunc = env.funcs[at]
    i: i32
    for i in range(fn.start, fn.end):
        ins = env.insns + i
        if (ins.code == C_JMP | JCALL and ins.src == S_CALL) or (ins.code == LD_IMM64 and ins.src == S_FUNC):
            if has_recursion(env, env.func_names[i + ins.imm + 1], [*path, at]):
                return True
    return False


def check_depth(env: Env) -> status:
    """The deepest chain from the main program."""
    if has_recursion(env, 0, []):
        return unsupported(env, "recursion")
    return walk_calls(env, 0, 0, 1, False)


def depth_text(env: Env) -> str:
    """stack depth 16+8"""
    return "+".join([str(fn.depth) for fn in env.funcs])
