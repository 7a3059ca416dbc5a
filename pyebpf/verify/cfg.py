"""The program's shape: functions, jumps inside them, everything reachable; where states are compared."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.spec.helpers import BY_ID

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.env import Env, Subfunc, fail, say, unsupported
    from pyebpf.verify.model import (
        C_JMP,
        C_JMP32,
        C_LD,
        CALLS_CALLBACK,
        E2BIG,
        EINVAL,
        EPERM,
        FORCE_CHECKPOINT,
        JA,
        JCALL,
        JCOND,
        JEXIT,
        JMP_POINT,
        M_ABS,
        M_IND,
        PRUNE_POINT,
        S_CALL,
        S_FUNC,
        S_KFUNC,
        SRC_X,
    )  # fmt: skip
    from pyebpf.verify.show import line_text

MAX_FUNCS = 256
LD_IMM64 = 0x18
FOR_EACH_MAP_ELEM = 164
LOOP = 181
TAIL_CALL = 12
NEW = 0
OPEN = 16
DONE = 32


def add_func(env: Env, start: i32) -> status:
    """A function begins at `start`."""
    if start < 0 or start >= env.n:
        return fail(env, EINVAL, "call to invalid destination")
    for fn in env.funcs:
        if fn.start == start:
            return 0
    if len(env.funcs) >= MAX_FUNCS:
        return fail(env, E2BIG, "too many subprograms")
    env.funcs.append(Subfunc(start))
    return 0


def find_funcs(env: Env) -> status:
    """The functions that calls and function pointers name, in order."""
    i: i32
    add_func(env, 0)
    for i in range(env.n):
        ins = env.insns + i
        local: cbool = ins.code == C_JMP | JCALL and ins.src == S_CALL
        pointer: cbool = ins.code == LD_IMM64 and ins.src == S_FUNC
        kernel: cbool = ins.code == C_JMP | JCALL and ins.src == S_KFUNC
        if not (local or pointer or kernel):
            continue
        if not env.bpf_capable:
            text = "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"
            return fail(env, EPERM, text)
        if kernel:
            return unsupported(env, "kernel functions")
        add_func(env, i + ins.imm + 1)
    env.funcs.sort(key=start_of)
    names = {info.insn_idx: info.name for info in program(env).func_info}
    for i in range(len(env.funcs)):
        fn: Subfunc = env.funcs[i]
        following: Any = env.funcs[i + 1] if i + 1 < len(env.funcs) else None
        fn.end = env.n if following is None else following.start
        fn.name = names.get(fn.start, "")
        env.func_names[fn.start] = i
        if env.log.trace2:
            say(env, f"func#{i} @{fn.start}\n")
    return 0


def start_of(fn: Any) -> Any:
    """Sort key."""
    return fn.start


def program(env: Env) -> Any:
    """The VerifierInput."""
    return env.program


def jump_target(env: Env, i: i32) -> i32:
    """Where a jump goes."""
    ins = env.insns + i
    if ins.code == C_JMP32 | JA:
        return i + 1 + ins.imm
    return i + 1 + ins.off


def check_funcs(env: Env) -> status:
    """Jumps stay inside their function, and no function runs on into the next."""
    i: i32
    cur: i32 = 0
    target: i32
    fn: Subfunc = env.funcs[0]
    for i in range(env.n):
        ins = env.insns + i
        (env.aux + i).subprog = cur
        op: i32 = ins.code & 0xF0
        jump: cbool = ins.cls == C_JMP or ins.cls == C_JMP32
        if ins.code == C_JMP | JCALL and ins.src == 0 and ins.imm == TAIL_CALL:
            fn.has_tail_call = True
            fn.tail_reachable = True
        if ins.cls == C_LD and (ins.code & 0xE0 == M_ABS or ins.code & 0xE0 == M_IND):
            fn.has_ld_abs = True
        if jump and op != JCALL and op != JEXIT:
            target = jump_target(env, i)
            if target < fn.start or target >= fn.end:
                env.insn_idx = i
                return fail(env, EINVAL, f"jump out of range from insn {i} to {target}")
        if i == fn.end - 1:
            if ins.code != C_JMP | JEXIT and ins.code != C_JMP32 | JA and ins.code != C_JMP | JA:
                env.insn_idx = i
                return fail(env, EINVAL, "last insn is not an exit or jmp")
            cur += 1
            if cur < len(env.funcs):
                fn = env.funcs[cur]
    return 0


class Walk:
    """A depth-first walk: state of each instruction, and those whose edges are not all taken."""

    __slots__ = ("stack", "state")
    stack: list
    state: list

    def __init__(self, n: i32) -> None:
        self.stack = [0]
        self.state = [NEW] * n
        self.state[0] = OPEN


def mark(env: Env, i: i32, marks: i32) -> None:
    """Add marks."""
    if 0 <= i < env.n:
        (env.aux + i).marks |= marks


def edge(env: Env, walk: Walk, t: i32, w: i32, branch: i32) -> status:
    """Follow an edge (branch: 1 fall-through, 2 jump); 1: there is something new behind it."""
    if walk.state[t] >= (OPEN | branch):
        return 0
    if w < 0 or w >= env.n:
        line_text(env, t, f"{t}: ")
        env.insn_idx = t
        return fail(env, EINVAL, f"jump out of range from insn {t} to {w}")
    if branch == 2:
        mark(env, w, PRUNE_POINT | JMP_POINT)
    if walk.state[w] == NEW:
        walk.state[t] = OPEN | branch
        walk.state[w] = OPEN
        walk.stack.append(w)
        return 1
    if walk.state[w] & 0xF0 == OPEN:
        if env.bpf_capable:
            return 0
        line_text(env, t, f"{t}: ")
        line_text(env, w, f"{w}: ")
        env.insn_idx = t
        return fail(env, EINVAL, f"back-edge from insn {t} to {w}")
    walk.state[t] = OPEN | branch
    return 0


def visit_call(env: Env, walk: Walk, t: i32, callee: cbool) -> status:
    """A call, or a pointer to a function: what follows, and the function."""
    ins = env.insns + t
    width: i32 = 2 if ins.code == LD_IMM64 else 1
    if edge(env, walk, t, t + width, 1):
        return 1
    mark(env, t + width, PRUNE_POINT | JMP_POINT)
    if not callee:
        return 0
    mark(env, t, PRUNE_POINT)
    return edge(env, walk, t, t + ins.imm + 1, 2)


def visit_helper(env: Env, t: i32) -> status:
    """Marks of a helper call."""
    ins = env.insns + t
    if ins.imm == FOR_EACH_MAP_ELEM or ins.imm == LOOP:
        mark(env, t, CALLS_CALLBACK | FORCE_CHECKPOINT | PRUNE_POINT | JMP_POINT)
    proto = BY_ID.get(ins.imm)
    if proto is not None and proto.changes_pkt:
        fn: Subfunc = env.funcs[(env.aux + t).subprog]
        fn.changes_pkt = True
    return 0


def visit(env: Env, walk: Walk, t: i32) -> status:
    """Take the instruction's next edge; 1: there is something new behind it."""
    ins = env.insns + t
    op: i32 = ins.code & 0xF0
    if ins.code == LD_IMM64 and ins.src == S_FUNC:
        return visit_call(env, walk, t, True)
    if ins.cls != C_JMP and ins.cls != C_JMP32:
        return edge(env, walk, t, t + (2 if ins.code == LD_IMM64 else 1), 1)
    if op == JEXIT:
        return 0
    if op == JCALL:
        if ins.src == 0:
            visit_helper(env, t)
        return visit_call(env, walk, t, ins.src == S_CALL)
    if op == JA:
        if ins.code & SRC_X:
            return fail(env, EINVAL, "BPF_JA uses reserved fields")
        target: i32 = jump_target(env, t)
        if edge(env, walk, t, target, 1):
            mark(env, target, PRUNE_POINT | JMP_POINT)
            return 1
        mark(env, target, PRUNE_POINT | JMP_POINT)
        return 0
    mark(env, t, PRUNE_POINT)
    if op == JCOND:
        mark(env, t, FORCE_CHECKPOINT)
    if edge(env, walk, t, t + 1, 1):
        return 1
    return edge(env, walk, t, jump_target(env, t), 2)


def spread_changes(env: Env) -> status:
    """A function that calls one which resizes the packet resizes it too."""
    again: cbool = True
    i: i32
    while again:
        again = False
        for i in range(env.n):
            ins = env.insns + i
            if ins.code == C_JMP | JCALL and ins.src == S_CALL:
                caller: Subfunc = env.funcs[(env.aux + i).subprog]
                callee: Subfunc = env.funcs[env.func_names[i + ins.imm + 1]]
                if callee.changes_pkt and not caller.changes_pkt:
                    caller.changes_pkt = again = True
    return 0


def check_cfg(env: Env) -> status:
    """Every instruction can be reached, and no edge leaves the program."""
    walk = Walk(env.n)
    i: i32 = 0
    while walk.stack:
        t: i32 = walk.stack[-1]
        if not visit(env, walk, t):
            walk.state[t] = DONE
            walk.stack.pop()
    while i < env.n:
        ins = env.insns + i
        if walk.state[i] != DONE:
            env.insn_idx = i
            return fail(env, EINVAL, f"unreachable insn {i}")
        if ins.code == LD_IMM64:
            if i + 1 < env.n and walk.state[i + 1] != NEW:
                env.insn_idx = i
                return fail(env, EINVAL, f"jump into the middle of ldimm64 insn {i}")
            i += 1
        i += 1
    return spread_changes(env)
