"""The flow graph inside functions: successors, an order for dataflow, and the loops."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.env import Env, Subfunc
    from pyebpf.verify.model import C_JMP, C_JMP32, CALLS_CALLBACK, JA, JCALL, JEXIT, U64P, alloc_u64, free_array


def fall_to(env: Env, i: i32) -> i32:
    """The instruction that follows without a jump, -1 if none does."""
    ins = env.insns + i
    if ins.code == 0x18:
        return i + 2
    op: i32 = ins.code & 0xF0
    if (ins.cls == C_JMP or ins.cls == C_JMP32) and (op == JEXIT or op == JA):
        return -1
    return i + 1


def jump_to(env: Env, i: i32) -> i32:
    """Where the instruction may jump inside its function, -1 if it does not."""
    ins = env.insns + i
    op: i32 = ins.code & 0xF0
    if (ins.cls != C_JMP and ins.cls != C_JMP32) or op == JEXIT or op == JCALL:
        return -1
    if op == JA and ins.cls == C_JMP32:
        return i + 1 + ins.imm
    return i + 1 + ins.off


def post_order(env: Env, start: i32, end: i32) -> list:
    """The reachable instructions of a function, successors mostly first."""
    out: list = []
    n: i32 = end - start
    seen = alloc_u64(n)
    stack = alloc_u64(2 * n + 2)
    top: i32 = 1
    i: i32
    a: i32
    b: i32
    stack[0] = 0
    while top:
        i = stack[top - 1]
        if seen[i] == 0:
            seen[i] = 1
            a = fall_to(env, start + i) - start
            b = jump_to(env, start + i) - start
            if 0 <= a < n and seen[a] == 0:
                stack[top] = a
                top += 1
            if 0 <= b < n and seen[b] == 0:
                stack[top] = b
                top += 1
        else:
            top -= 1
            if seen[i] == 1:
                seen[i] = 2
                out.append(start + i)
    free_array(seen)
    free_array(stack)
    return out


class Tarjan:
    """The state of the search for strongly connected components."""

    __slots__ = ("child", "count", "index", "low", "members", "number", "scc", "top", "work")
    index: U64P
    low: U64P
    child: U64P
    members: U64P
    work: U64P
    top: i32
    number: i32
    count: i32

    def __init__(self, n: i32) -> None:
        self.index = alloc_u64(n)
        self.low = alloc_u64(n)
        self.child = alloc_u64(n)
        self.members = alloc_u64(n)
        self.work = alloc_u64(n + 1)
        self.top = 0
        self.number = 0
        self.count = 0

    def __dealloc__(self) -> None:
        free_array(self.index)
        free_array(self.low)
        free_array(self.child)
        free_array(self.members)
        free_array(self.work)


DONE = 1 << 40


def close_component(env: Env, t: Tarjan, v: i32) -> status:
    """v is the first instruction of a component: take its members off; alone it counts with an edge to itself."""
    first: i32 = t.top - 1
    i: i32
    w: i32
    while t.members[first] != v:
        first -= 1
    loop: cbool = t.top - first > 1 or jump_to(env, v) == v or (env.aux + v).marks & CALLS_CALLBACK != 0
    if loop:
        t.count += 1
    for i in range(first, t.top):
        w = t.members[i]
        t.low[w] = DONE
        if loop:
            (env.aux + w).scc = t.count
    t.top = first
    return 0


def next_child(env: Env, t: Tarjan, v: i32) -> i32:
    """v's next successor, -1 after the last."""
    w: i32
    while t.child[v] < 2:
        w = fall_to(env, v) if t.child[v] == 0 else jump_to(env, v)
        t.child[v] += 1
        if 0 <= w < env.n:
            return w
    return -1


def components_from(env: Env, t: Tarjan, start: i32) -> status:
    """Search from an instruction."""
    depth: i32 = 1
    v: i32
    w: i32
    t.work[0] = start
    while depth:
        v = t.work[depth - 1]
        if t.index[v] == 0:
            t.number += 1
            t.index[v] = t.number
            t.low[v] = t.number
            t.members[t.top] = v
            t.top += 1
        w = next_child(env, t, v)
        if w >= 0:
            if t.index[w] == 0:
                t.work[depth] = w
                depth += 1
            elif t.low[w] != DONE and t.index[w] < t.low[v]:
                t.low[v] = t.index[w]
            continue
        depth -= 1
        if t.low[v] == t.index[v]:
            close_component(env, t, v)
        elif depth:
            w = t.work[depth - 1]
            if t.low[v] < t.low[w]:
                t.low[w] = t.low[v]
    return 0


def find_sccs(env: Env) -> status:
    """Number the components of more than one instruction, or with an edge to themselves, from 1."""
    t = Tarjan(env.n)
    for f in env.funcs:
        fn: Subfunc = f
        if t.index[fn.start] == 0:
            components_from(env, t, fn.start)
    return 0
