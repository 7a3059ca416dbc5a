"""The verifier's log: text that can be taken back to an earlier place."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import i32

LEVEL1 = 1
LEVEL2 = 2
STATS = 4


class Log:
    """level: BPF_LOG_LEVEL1 | LEVEL2 | STATS. pos: bytes written so far."""

    __slots__ = ("level", "parts", "pos", "trace", "trace2")
    level: i32
    pos: i32
    trace: i32
    trace2: i32
    parts: list

    def __init__(self, level: i32) -> None:
        self.level = level
        self.trace = level & 3
        self.trace2 = level & 2
        self.pos = 0
        self.parts = []


def log_write(log: Log, text: str) -> object:
    """Append."""
    log.parts.append(text)
    log.pos += len(text)
    return None


def log_reset(log: Log, pos: i32) -> object:
    """Take back everything after `pos`."""
    while log.pos > pos:
        last: str = log.parts.pop()
        log.pos -= len(last)
        if log.pos < pos:
            keep = last[: pos - log.pos]
            log.parts.append(keep)
            log.pos = pos
    return None


def log_text(log: Log) -> str:
    """All of it."""
    return "".join(log.parts)
