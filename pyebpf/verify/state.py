"""Where a path stands: frames of registers and stack slots, and the state they make up.

A stored state keeps only the slots in use; the state being explored has room for all, so that
pointers to its records stay valid while an instruction is processed.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status, u8
    from pyebpf.verify.bounds import mark_not_init
    from pyebpf.verify.model import (
        FP,
        FRAME_RECORDS,
        KIND_MASK,
        MAX_REG,
        SCALAR,
        SLOT0,
        STACK,
        RegP,
        alloc_regs,
        clear_regs,
        copy_regs,
        free_array,
    )  # fmt: skip


class Frame:
    """One function's registers and stack.

    room: records allocated.  nslots: stack slots in use.  callsite: instruction that called, -1 in main.
    callback: 0 an ordinary call, else what verifies the callback's arguments and loop (calls.py).
    ret_lo, ret_hi: what a callback may return.  async_entry: unused counter of asynchronous entries.
    """

    __slots__ = (
        "callback", "callback_depth", "callsite", "frameno", "nslots", "regs", "ret_hi", "ret_lo", "room", "subprog",
    )  # fmt: skip
    regs: RegP
    room: i32
    nslots: i32
    callsite: i32
    frameno: i32
    subprog: i32
    callback: i32
    callback_depth: i32
    ret_lo: i32
    ret_hi: i32

    def __init__(self, room: i32, callsite: i32, frameno: i32, subprog: i32) -> None:
        self.regs = alloc_regs(room)
        self.room = room
        self.nslots = 0
        self.callsite = callsite
        self.frameno = frameno
        self.subprog = subprog
        self.callback = 0
        self.callback_depth = 0
        self.ret_lo = 0
        self.ret_hi = 0

    def __dealloc__(self) -> None:
        free_array(self.regs)


class State:
    """A point of a path: its frames and its place in the history.

    insn_idx: next instruction.  first, last: instructions bounding this state's part of the history.
    hist, hist_cnt: the newest step of the history and how many belong to this state.
    branches: paths from here still unfinished.  parent: the checkpoint before.
    hits, misses: how often a stored state served.  listed: still among the stored ones.
    """

    __slots__ = (
        "branches", "callback_unroll", "cleaned", "curframe", "dfs_depth", "entered_scc", "first", "frames", "hist",
        "hist_cnt", "hits", "insn_idx", "last", "listed", "log_pos", "may_goto_depth", "misses", "parent", "prev_idx",
    )  # fmt: skip
    frames: list
    curframe: i32
    insn_idx: i32
    prev_idx: i32
    first: i32
    last: i32
    hist: i32
    hist_cnt: i32
    branches: i32
    dfs_depth: i32
    callback_unroll: i32
    may_goto_depth: i32
    hits: i32
    misses: i32
    listed: cbool
    cleaned: cbool
    entered_scc: cbool
    log_pos: i32
    parent: State

    def __init__(self) -> None:
        self.frames = []
        self.curframe = 0
        self.insn_idx = 0
        self.prev_idx = -1
        self.first = 0
        self.last = -1
        self.hist = -1
        self.hist_cnt = 0
        self.branches = 1
        self.dfs_depth = 0
        self.callback_unroll = 0
        self.may_goto_depth = 0
        self.hits = 0
        self.misses = 0
        self.listed = False
        self.cleaned = False
        self.entered_scc = False
        self.log_pos = 0
        self.parent = None


def new_frame(callsite: i32, frameno: i32, subprog: i32) -> Frame:
    """A frame as a function finds it: nothing readable but the frame pointer."""
    f = Frame(FRAME_RECORDS, callsite, frameno, subprog)
    i: i32
    for i in range(MAX_REG):
        mark_not_init(f.regs + i)
    fp = f.regs + FP
    fp.kind = STACK
    fp.tv = 0
    fp.tm = 0
    fp.umin = 0
    fp.umax = 0
    fp.smin = 0
    fp.smax = 0
    fp.u32min = 0
    fp.u32max = 0
    fp.s32min = 0
    fp.s32max = 0
    fp.frameno = frameno
    return f


def copy_frame(src: Frame) -> Frame:
    """A compact copy."""
    n: i32 = SLOT0 + src.nslots
    f = Frame(n, src.callsite, src.frameno, src.subprog)
    copy_regs(f.regs, src.regs, n)
    f.nslots = src.nslots
    f.callback = src.callback
    f.callback_depth = src.callback_depth
    f.ret_lo = src.ret_lo
    f.ret_hi = src.ret_hi
    return f


def copy_state(src: State) -> State:
    """A stored copy of a state, counted on its own."""
    s = State()
    i: i32
    for i in range(src.curframe + 1):
        f: Frame = src.frames[i]
        s.frames.append(copy_frame(f))
    s.curframe = src.curframe
    s.insn_idx = src.insn_idx
    s.prev_idx = src.prev_idx
    s.first = src.first
    s.last = src.last
    s.hist = src.hist
    s.hist_cnt = src.hist_cnt
    s.branches = src.branches
    s.dfs_depth = src.dfs_depth
    s.callback_unroll = src.callback_unroll
    s.may_goto_depth = src.may_goto_depth
    s.parent = src.parent
    return s


def make_room(state: State) -> status:
    """Give every frame of a stored state room for the whole stack."""
    i: i32
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        if f.room < FRAME_RECORDS:
            regs = alloc_regs(FRAME_RECORDS)
            copy_regs(regs, f.regs, f.room)
            free_array(f.regs)
            f.regs = regs
            f.room = FRAME_RECORDS
    return 0


def grow_stack(f: Frame, nslots: i32) -> None:
    """Slots up to nslots are in use; the frame has room."""
    if nslots > f.nslots:
        clear_regs(f.regs, SLOT0 + f.nslots, SLOT0 + nslots)
        f.nslots = nslots


def copy_value(d: RegP, s: RegP) -> None:
    """Copy a value, not the kinds of the slot's bytes."""
    spill: u8 = d.spill
    misc: u8 = d.misc
    zero: u8 = d.zero
    d[0] = s[0]
    d.spill = spill
    d.misc = misc
    d.zero = zero


def is_spilled(slot: RegP) -> cbool:
    """The slot holds a register, or the low part of one."""
    return slot.spill & 0x80 != 0


def is_spilled_scalar(slot: RegP) -> cbool:
    """The slot holds a scalar register."""
    return slot.spill & 0x80 != 0 and slot.kind == SCALAR


def is_full_scalar(slot: RegP) -> cbool:
    """The slot holds all 64 bits of a scalar register."""
    return slot.spill & 1 != 0 and slot.kind == SCALAR


def clear_imprecise(state: State) -> status:
    """Forget which scalars must be compared exactly: the new checkpoint learns it again."""
    i: i32
    j: i32
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        for j in range(SLOT0 + f.nslots):
            r = f.regs + j
            if r.kind == SCALAR and j != FP and (j < SLOT0 or is_spilled(r)):
                r.precise = 0
    return 0


def frame_insn(state: State, frameno: i32) -> i32:
    """The instruction frame `frameno` continues at."""
    if frameno == state.curframe:
        return state.insn_idx
    f: Frame = state.frames[frameno + 1]
    return f.callsite


def base_kind(kind: i32) -> i32:
    """A register kind without its flags."""
    return kind & KIND_MASK


def is_pkt(r: RegP) -> cbool:
    """Packet or packet_meta."""
    return r.kind == 8 or r.kind == 7
