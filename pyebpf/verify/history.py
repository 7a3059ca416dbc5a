"""The steps of a path that precision tracking walks back along.

One array of steps, each linked to the one before, serves all paths: a branch copies nothing. A state
owns the newest `hist_cnt` steps from `hist` on; a step is recorded where control does not simply go to
the next instruction, where a register is spilled or filled, and where equal scalars are refined together.

    linked   [ 6 x ( is_reg:1 | register or slot:6 | frame:3 ) | count:4 ]
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import i32, status, u64
    from pyebpf.verify.env import Env
    from pyebpf.verify.model import HIST_SPI_SHIFT, HIST_STACK, grow_hist
    from pyebpf.verify.state import State


def push_step(env: Env, flags: i32, linked: u64) -> status:
    """Record the current instruction, or add to its record."""
    if env.cur_hist >= 0:
        step = env.hist + env.cur_hist
        step.flags |= flags
        if linked:
            step.linked = linked
        return 0
    if env.hist_len == env.hist_cap:
        env.hist = grow_hist(env.hist, env.hist_cap * 2)
        env.hist_cap *= 2
    state: State = env.state
    step = env.hist + env.hist_len
    step.idx = env.insn_idx
    step.prev = env.prev_idx
    step.flags = flags
    step.linked = linked
    step.parent = state.hist
    state.hist = env.hist_len
    state.hist_cnt += 1
    env.cur_hist = env.hist_len
    env.hist_len += 1
    return 0


def stack_flags(frameno: i32, spi: i32) -> i32:
    """Flags of a step that spills or fills a slot."""
    return HIST_STACK | spi << HIST_SPI_SHIFT | frameno
