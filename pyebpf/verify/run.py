"""One verification from end to end, and what it reports."""

from __future__ import annotations

import time
from typing import Any

import cython

from pyebpf.errors import VerifierError
from pyebpf.isa.table import PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE
from pyebpf.verify.log import STATS

if not cython.compiled:
    from pyebpf.bits import i32
    from pyebpf.verify.depth import depth_text
    from pyebpf.verify.env import Env, Subfunc, finish_log, say
    from pyebpf.verify.explore import cut_links, verify_all
    from pyebpf.verify.facts import encode_facts
    from pyebpf.verify.log import Log

LIMIT = 1000000
TAIL_CALLS = 16
VALUE_SOURCES = (2, 6)


class Report:
    """The outcome: error None when accepted."""

    def __init__(self) -> None:
        self.error: VerifierError | None = None
        self.log = ""
        self.insns = b""
        self.facts = b""
        self.maps: list[Any] = []
        self.subprogs: list[Any] = []
        self.flags = 0
        self.max_insns = 0
        self.processed = 0
        self.max_states = 0
        self.total_states = 0
        self.peak_states = 0


def rewritten(env: Env) -> bytes:
    """The instructions with every map as an index into `maps`."""
    program: Any = env.program
    if not env.map_refs:
        return bytes(program.insns)
    out = bytearray(program.insns)
    for i, index in env.map_refs.items():
        regs = out[8 * i + 1]
        source = PSEUDO_MAP_IDX_VALUE if regs >> 4 in VALUE_SOURCES else PSEUDO_MAP_IDX
        out[8 * i + 1] = regs & 15 | source << 4
        out[8 * i + 4 : 8 * i + 8] = index.to_bytes(4, "little")
    return bytes(out)


def show_stats(env: Env, elapsed_ns: Any) -> object:
    """The last lines of the log."""
    if env.log.level & STATS:
        say(env, f"verification time {elapsed_ns // 1000} usec\n")
        say(env, f"stack depth {depth_text(env)}\n")
    text = f"processed {env.processed} insns (limit {LIMIT}) max_states_per_insn {env.max_states}"
    say(env, f"{text} total_states {env.total_states} peak_states {env.peak_states} mark_read 0\n")
    return None


def bound(env: Env) -> i32:
    """Instructions that one run executes at most: of a program without loops and functions; 0 unknown."""
    i: i32
    for i in range(env.n):
        if (env.aux + i).scc:
            return 0
    return env.n if len(env.funcs) == 1 and not env.flags & TAIL_CALLS else 0


def fill(env: Env, report: Any) -> object:
    """What an accepted program is."""
    report.insns = rewritten(env)
    report.facts = encode_facts(env)
    report.maps = list(env.maps)
    report.flags = env.flags
    rows = []
    for f in env.funcs:
        fn: Subfunc = f
        rows.append((fn.start, (fn.depth + 7) // 8 * 8, fn.name, bool(fn.is_callback)))
    report.subprogs = rows
    report.max_insns = bound(env)
    return None


def run(program: Any, maps: Any, rules: Any, gpl: Any) -> Any:
    """Verify; never raises for a rejected program."""
    report = Report()
    started = time.perf_counter_ns()
    env = Env(program, Log(program.log_level))
    env.gpl = gpl
    env.ctx_rules = rules
    env.lines = {line.insn_idx: line for line in program.line_info}
    try:
        verify_all(env, maps)
    except VerifierError as error:
        report.error = error
    finally:
        cut_links(env)
    show_stats(env, time.perf_counter_ns() - started)
    report.log = finish_log(env)
    report.processed = env.processed
    report.max_states = env.max_states
    report.total_states = env.total_states
    report.peak_states = env.peak_states
    if report.error is None:
        fill(env, report)
    return report
