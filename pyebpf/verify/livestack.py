"""Which stack slots may still be read: a slot nobody reads need not agree when states are compared.

The exploration reports slots read and slots written by each instruction, per call chain (the call sites
that lead to a function, and its start). Reads add up, writes are those every visit makes; a live-variable
dataflow over the function then tells which slots may be read at or after an instruction. What a function
reads and surely writes of its callers' frames is handed to its call site.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status, u64
    from pyebpf.verify.env import Env, Subfunc
    from pyebpf.verify.flowgraph import fall_to, jump_to, post_order
    from pyebpf.verify.model import (
        CALLS_CALLBACK,
        MAX_FRAMES,
        U64P,
        alloc_u64,
        free_array,
    )  # fmt: skip
    from pyebpf.verify.state import Frame, State


class FrameMasks:
    """Slot masks of one frame, by instruction of the function."""

    __slots__ = ("acc", "live", "reads", "writes")
    reads: U64P
    writes: U64P
    acc: U64P
    live: U64P

    def __init__(self, n: i32) -> None:
        self.reads = alloc_u64(n)
        self.writes = alloc_u64(n)
        self.acc = alloc_u64(n)
        self.live = alloc_u64(n)

    def __dealloc__(self) -> None:
        free_array(self.reads)
        free_array(self.writes)
        free_array(self.acc)
        free_array(self.live)


class Instance:
    """A function in one call chain. depth: its frame number. order: instructions, successors first."""

    __slots__ = ("chain", "depth", "dropped", "frames", "n", "order", "seen", "start", "updated")
    chain: object
    depth: i32
    start: i32
    n: i32
    frames: list
    seen: U64P
    updated: cbool
    dropped: cbool
    order: list

    def __init__(self, chain: object, depth: i32, start: i32, n: i32, order: list) -> None:
        self.chain = chain
        self.depth = depth
        self.start = start
        self.n = n
        self.frames = [None] * MAX_FRAMES
        self.seen = alloc_u64(n)
        self.updated = False
        self.dropped = False
        self.order = order

    def __dealloc__(self) -> None:
        free_array(self.seen)


def chain_of(state: State, env: Env, frameno: i32) -> object:
    """The key of a frame's function instance."""
    i: i32
    chain = []
    for i in range(1, frameno + 1):
        f: Frame = state.frames[i]
        chain.append(f.callsite)
    top: Frame = state.frames[frameno]
    fn: Subfunc = env.funcs[top.subprog]
    chain.append(fn.start)
    return tuple(chain)


def instance_by_chain(env: Env, chain: object, depth: i32, subprog: i32) -> Instance:
    """Find or make an instance."""
    inst = env.live.get(chain)
    if inst is None:
        fn: Subfunc = env.funcs[subprog]
        inst = Instance(chain, depth, fn.start, fn.end - fn.start, post_order(env, fn.start, fn.end))
        env.live[chain] = inst
    return inst


def instance_of(env: Env, state: State, frameno: i32) -> Instance:
    """The instance a frame of a state runs in."""
    f: Frame = state.frames[frameno]
    return instance_by_chain(env, chain_of(state, env, frameno), frameno, f.subprog)


def current(env: Env) -> Instance:
    """The instance being explored."""
    if env.live_cur is None:
        env.live_cur = instance_of(env, env.state, env.state.curframe)
    inst: Instance = env.live_cur
    return inst


def masks_of(inst: Instance, frame: i32) -> FrameMasks:
    """A frame's masks, made when first used."""
    m: FrameMasks = inst.frames[frame]
    if m is None:
        m = FrameMasks(inst.n)
        inst.frames[frame] = m
    return m


def add_read(inst: Instance, frame: i32, idx: i32, mask: u64) -> status:
    """Slots that the instruction may read."""
    m = masks_of(inst, frame)
    rel: i32 = idx - inst.start
    new: u64 = m.reads[rel] | mask
    if new != m.reads[rel] and (new | m.live[rel]) != m.live[rel]:
        inst.updated = True
    m.reads[rel] = new
    return 0


def mark_read(env: Env, frame: i32, spi: i32) -> status:
    """The current instruction may read a slot."""
    one: u64 = 1
    return add_read(current(env), frame, env.insn_idx, one << spi)


def mark_write(env: Env, frame: i32, spi: i32) -> None:
    """The current instruction writes a whole slot."""
    one: u64 = 1
    env.write_masks[frame] |= one << spi


def begin_insn(env: Env) -> status:
    """No writes yet."""
    i: i32
    inst = current(env)
    for i in range(inst.depth + 1):
        env.write_masks[i] = 0
    return 0


def commit_writes(env: Env, inst: Instance, idx: i32) -> status:
    """What this visit of an instruction has written; only what every visit writes counts."""
    rel: i32 = idx - inst.start
    frame: i32
    mask: u64
    old: u64
    for frame in range(inst.depth + 1):
        mask = env.write_masks[frame]
        if mask == 0 and not inst.seen[rel]:
            continue
        m = masks_of(inst, frame)
        old = m.writes[rel]
        if inst.seen[rel]:
            mask &= old
        if old != mask:
            m.writes[rel] = mask
            inst.updated = True
        if old & ~mask:
            inst.dropped = True
    inst.seen[rel] = 1
    return 0


def end_insn(env: Env, idx: i32) -> status:
    """The instruction has been processed; when it called or returned there is nothing to say of the new frame."""
    inst: Instance = env.live_cur
    if inst is None:
        return 0
    return commit_writes(env, inst, idx)


def flow(env: Env, inst: Instance, m: FrameMasks) -> cbool:
    """One round over the instructions; True: something changed."""
    changed: cbool = False
    i: i32
    k: i32
    a: i32
    b: i32
    after: u64
    acc: u64
    order: list = inst.order
    for k in range(len(order)):
        i = order[k]
        a = fall_to(env, i) - inst.start
        b = jump_to(env, i) - inst.start
        i -= inst.start
        after = 0
        acc = 0
        if 0 <= a < inst.n:
            after |= m.live[a]
            acc = m.acc[a]
        if 0 <= b < inst.n:
            after |= m.live[b]
            acc = m.acc[b] & acc if 0 <= a < inst.n else m.acc[b]
        acc |= m.writes[i]
        after = (after & ~m.writes[i]) | m.reads[i]
        if after != m.live[i] or acc != m.acc[i]:
            changed = True
            m.live[i] = after
            m.acc[i] = acc
    return changed


def settle(env: Env, inst: Instance, frame: i32) -> status:
    """Dataflow of one frame to its fixed point."""
    m: FrameMasks = inst.frames[frame]
    i: i32
    if m is None:
        return 0
    if inst.dropped:
        for i in range(inst.n):
            m.acc[i] = 0
    while flow(env, inst, m):
        pass
    return 0


def update_chain(env: Env, state: State) -> status:
    """After a path has ended: settle its functions from the innermost, each telling its caller."""
    env.live_cur = None
    depth: i32
    frame: i32
    i: i32
    for depth in range(state.curframe, -1, -1):
        inst = instance_of(env, state, depth)
        if not inst.updated:
            continue
        for frame in range(depth + 1):
            settle(env, inst, frame)
        inst.updated = False
        inst.dropped = False
        if depth == 0:
            continue
        f: Frame = state.frames[depth]
        outer = instance_of(env, state, depth - 1)
        for i in range(MAX_FRAMES):
            env.write_masks[i] = 0
        for frame in range(depth):
            m: FrameMasks = inst.frames[frame]
            if m is not None:
                env.write_masks[frame] = m.acc[0]
                add_read(outer, frame, f.callsite, m.live[0])
        commit_writes(env, outer, f.callsite)
    return 0


def live_at(inst: Instance, frame: i32, idx: i32) -> u64:
    """Slots of a frame that may be read at or after an instruction."""
    m: FrameMasks = inst.frames[frame]
    if m is None:
        return 0
    return m.live[idx - inst.start]


def live_slots(env: Env, state: State, frameno: i32) -> status:
    """Slots of a frame that a stored state's continuation may read, in this function or its callees.

    The answer is in env.live_mask.
    """
    mask: u64 = 0
    i: i32
    idx: i32
    for i in range(frameno, state.curframe + 1):
        inst = instance_of(env, state, i)
        if i == state.curframe:
            mask |= live_at(inst, frameno, state.insn_idx)
        else:
            f: Frame = state.frames[i + 1]
            idx = f.callsite
            if not (env.aux + idx).marks & CALLS_CALLBACK:
                idx += 1  # a callback's call is repeated, any other is done
            mask |= live_at(inst, frameno, idx)
    env.live_mask = mask
    return 0
