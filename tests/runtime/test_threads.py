"""Several threads over one runtime: nothing is lost, nothing is left, counts are exact."""

import errno
import threading
from collections.abc import Callable

import numpy as np
import pytest

import pyebpf
import pyebpf.syscall as sc
from pyebpf import Map, Program
from pyebpf.runtime.state import runtime

COUNT = """
    *(u32 *)(r10 - 4) = 0
    r1 = counts ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out: r0 = 2
    exit
"""
TAIL = "r2 = jumps ll\n r3 = 0\n call tail_call\n r0 = 77\n exit"


def together(*works: Callable[[], None]) -> None:
    """Run them at once; the first exception of any is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.fixture(autouse=True)
def nothing_left() -> object:
    rt = runtime()

    def alive() -> list[int]:
        return [len(space.objects()) for space in (rt.maps, rt.progs, rt.btfs, rt.links)] + [len(rt.fds)]

    before = alive()
    yield
    assert alive() == before


def test_counts_from_two_threads_are_exact() -> None:
    with Map.create("array", "u4", "u8", 1) as counts, Program.load(COUNT, "xdp", maps={"counts": counts}) as prog:
        rows = np.zeros((1000, 64), np.uint8)

        def calls() -> None:
            for _ in range(5000):
                prog(bytes(64))

        def batches() -> None:
            for _ in range(20):
                prog.run_batch(rows)

        together(calls, batches, calls)
        assert counts[0] == 2 * 5000 + 20 * 1000


def test_loading_running_and_closing_while_others_walk_the_ids() -> None:
    stop = threading.Event()

    def load() -> None:
        try:
            for _ in range(30):
                counts = Map.create("array", "u4", "u8", 1)
                with counts, Program.load(COUNT, "xdp", maps={"counts": counts}) as prog:
                    for _ in range(10):
                        assert prog(bytes(64)) == 2
                    assert counts[0] == 10
        finally:
            stop.set()

    def walk() -> None:
        while not stop.is_set():
            number = 0
            while True:
                try:
                    number = sc.bpf_prog_get_next_id(number)
                    Program.from_id(number).close()
                except pyebpf.Error as exc:
                    assert exc.errno == errno.ENOENT
                    break

    together(load, load, walk)


def test_tail_calls_while_the_array_changes() -> None:
    with Map.create("prog_array", 4, 4, 1) as jumps, Program.load(TAIL, "xdp", maps={"jumps": jumps}) as entry:
        targets = [Program.load(f"r0 = {n}\n exit", "xdp") for n in (1, 2)]
        stop = threading.Event()
        seen: set[int] = set()

        def change() -> None:
            try:
                for i in range(3000):
                    jumps[0] = targets[i % 2]
                    if i % 3 == 0:
                        jumps.delete(0)
            finally:
                stop.set()

        def run() -> None:
            while not stop.is_set():
                seen.add(entry(bytes(64)))

        together(change, run, run)
        assert seen <= {1, 2, 77}
        assert len(seen) > 1
        for target in targets:
            target.close()


def test_closing_a_program_that_another_thread_runs() -> None:
    for _ in range(20):
        prog = Program.load("r0 = 2\n exit", "xdp")
        started = threading.Event()

        def run(prog: Program = prog, started: threading.Event = started) -> None:
            started.set()
            try:
                while True:
                    assert prog(bytes(64)) == 2
            except pyebpf.Error as exc:
                assert exc.errno == errno.EBADF

        def close(prog: Program = prog, started: threading.Event = started) -> None:
            started.wait()
            prog.close()

        together(run, run, close)
