"""Strongly connected components of the flow graph (Tarjan): the loops."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import i32, status
    from pyebpf.verify.env import Env
    from pyebpf.verify.livestack import successors
    from pyebpf.verify.model import CALLS_CALLBACK


def find_sccs(env: Env) -> status:
    """Number the components of more than one instruction, or with an edge to themselves, from 1."""
    v: i32
    w: i32
    index: dict = {}
    low: dict = {}
    stack: list = []
    on_stack: set = set()
    count = 0
    for fn in env.funcs:
        work = [(fn.start, 0)]
        while work:
            v, child = work.pop()
            if child == 0:
                index[v] = low[v] = len(index)
                stack.append(v)
                on_stack.add(v)
            succ = [s for s in successors(env, v) if s >= 0]
            if (env.aux + v).marks & CALLS_CALLBACK:
                succ.append(v)  # a callback's call is repeated
            again = False
            while child < len(succ):
                w = succ[child]
                child += 1
                if w not in index:
                    work.append((v, child))
                    work.append((w, 0))
                    again = True
                    break
                if w in on_stack:
                    low[v] = min(low[v], index[w])
            if again:
                continue
            if work:
                u = work[-1][0]
                low[u] = min(low[u], low[v])
            if low[v] == index[v]:
                members = []
                while True:
                    w = stack.pop()
                    on_stack.discard(w)
                    members.append(w)
                    if w == v:
                        break
                if len(members) > 1 or v in succ:
                    count += 1
                    for w in members:
                        (env.aux + w).scc = count
    return 0
