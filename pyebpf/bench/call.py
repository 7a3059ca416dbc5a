"""What one event costs from Python: a call, a test run, an element of a batch."""

import time
from collections.abc import Callable

import numpy as np

from pyebpf.bench.result import Result, compare
from pyebpf.errors import Error
from pyebpf.objects.program import Program

PROGRAM = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r0 = r3
    r0 -= r2
    exit
"""
"""The packet's length: as short as a program that looks at its packet can be."""


def loop(call: Callable[[], object], n: int) -> Callable[[], float]:
    """ns per call of n calls, the loop's own cost taken off."""

    def measure() -> float:
        steps = range(n)
        start = time.perf_counter_ns()
        for _ in steps:
            pass
        empty = time.perf_counter_ns() - start
        start = time.perf_counter_ns()
        for _ in steps:
            call()
        return (time.perf_counter_ns() - start - empty) / n

    return measure


def run(*, quick: bool = False) -> list[Result]:
    """Ratios are to a call of `len`, a C function that returns an int."""
    n = 20_000 if quick else 200_000
    packet = bytes(64)
    packets = np.zeros((n, 64), np.uint8)
    results = []
    for engine in ("jit", "interp"):
        program = Program.load(PROGRAM, "xdp", engine=engine)

        def batch(program: Program = program) -> float:
            start = time.perf_counter_ns()
            program.run_batch(packets)
            return (time.perf_counter_ns() - start) / n

        def repeated(program: Program = program) -> float:
            return float(program.test_run(packet, repeat=n).duration_ns)

        timers = {
            "len(packet)": loop(lambda: len(packet), n),
            f"prog(packet), {engine}": loop(lambda program=program: program(packet), n),  # type: ignore[misc]
            f"prog.test_run(packet), {engine}": loop(lambda program=program: program.test_run(packet), n // 10),  # type: ignore[misc]
            f"prog.test_run(packet, repeat=n), {engine}": repeated,
            f"prog.run_batch(packets), {engine}": batch,
        }
        got = compare("one event from Python", timers, 3 if quick else 11, "len(packet)")
        results += got if engine == "jit" else got[1:]
        program.close()
    return results + linux(packet, n // 100)


def linux(packet: bytes, n: int) -> list[Result]:
    """bpf(PROG_TEST_RUN) on Linux, where it is permitted."""
    try:
        program = Program.load(PROGRAM, "xdp", backend="kernel")
    except (OSError, Error):
        return []
    timers = {
        "len(packet)": loop(lambda: len(packet), n),
        "prog.test_run(packet), linux": loop(lambda: program.test_run(packet), n),
    }
    got = compare("one event from Python", timers, 3, "len(packet)")[1:]
    program.close()
    return got
