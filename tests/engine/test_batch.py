"""Batches: every shape of input, threads, bounds, early ends; statistics and entries for native callers."""

import ctypes
import os
import signal
import threading

import numpy as np
import pytest

from pyebpf import native
from pyebpf.errors import Error
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.native import NativeProg
from pyebpf.spec.kinds import MapType, ProgType
from pyebpf.spec.verified import ProgFlag
from tests.engine.images import array, load_native

LENGTH = "r2 = *(u32 *)(r1 + 0)\n r0 = *(u32 *)(r1 + 4)\n r0 -= r2\n exit"
FIRST_BYTE = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r0 = 999
    r4 = r2
    r4 += 1
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 + 0)
    out: exit
"""
COUNT = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    out: r0 = 0
    exit
"""


@pytest.fixture(params=[0, 1], ids=["interp", "jit"])
def engine(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_every_shape_of_a_batch_gives_each_packet_its_bytes(engine: int) -> None:
    length = load_native(LENGTH, ProgType.XDP, engine=engine)
    first = load_native(FIRST_BYTE, ProgType.XDP, engine=engine)
    packets = [bytes([i]) * (i + 1) for i in range(200)]
    sizes = np.array([len(p) for p in packets], np.uint32)
    rows = np.zeros((200, 256), np.uint8)
    for row, packet in zip(rows, packets, strict=True):
        row[: len(packet)] = np.frombuffer(packet, np.uint8)
    joined = b"".join(packets)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.uint64)
    shapes: list[tuple[object, ...]] = [
        (packets,),
        (tuple(packets),),
        ([bytearray(p) for p in packets],),
        (rows, None, sizes),
        (rows[:, :200], None, sizes),  # rows with a gap between
        (joined, offsets, sizes),
        (bytearray(joined), list(offsets), list(sizes)),
    ]
    for shape in shapes:
        for threads in (1, 2, 7, 300):
            assert length.run_batch(*shape, threads=threads).tolist() == sizes.tolist()
            assert first.run_batch(*shape, threads=threads).tolist() == list(range(200))
    assert length.run_batch(rows).tolist() == [256] * 200
    assert length.run_batch([]).tolist() == []
    assert length.run_batch(rows[:0], threads=3).tolist() == []
    assert length.run_batch(rows).dtype == np.uint32


@pytest.mark.parametrize(
    ("batch", "offsets", "lengths"),
    [
        (bytes(10), [0, 5], [5, 6]),
        (bytes(10), [11], [0]),
        (bytes(10), [2**64 - 1], [2]),
        (bytes(10), [0, 1], [1]),
        (bytes(10), [0], None),
        (np.zeros((2, 8), np.uint8), None, [8, 9]),
        (np.zeros((2, 8), np.uint8), None, [8]),
        (np.zeros((2, 8), np.uint8).T, None, None),
        (np.zeros((2, 8), np.uint8)[::-1], None, None),
        (np.zeros((2, 2, 2), np.uint8), None, None),
    ],
)
def test_a_batch_that_leaves_its_memory_is_refused(batch: object, offsets: object, lengths: object) -> None:
    prog = load_native(LENGTH, ProgType.XDP)
    with pytest.raises((Error, ValueError, BufferError)):
        prog.run_batch(batch, offsets, lengths)  # type: ignore[arg-type]


def test_contexts_in_a_structured_array(engine: int) -> None:
    rows = np.zeros(50, np.dtype([("a", "<u4"), ("b", "<u8")], align=True))
    rows["b"] = np.arange(50) * 3
    prog = load_native("r0 = *(u64 *)(r1 + 8)\n exit", ProgType.TRACEPOINT, engine=engine)
    assert prog.run_batch(rows, threads=2).tolist() == (np.arange(50) * 3).tolist()


def test_threads_count_exactly(engine: int) -> None:
    counts = array()
    prog = load_native(COUNT, ProgType.XDP, {"counts": counts}, engine=engine, flags=ProgFlag.CALLS_HELPERS)
    rows = np.zeros((20000, 64), np.uint8)
    others = [threading.Thread(target=prog.run_batch, args=(rows,)) for _ in range(3)]
    for thread in others:
        thread.start()
    prog.run_batch(rows, threads=4)
    for thread in others:
        thread.join()
    assert counts.lookup(bytes(4)) == (4 * 20000).to_bytes(8, "little")


def test_per_cpu_values_of_concurrent_runs_add_up(engine: int) -> None:
    counts = native.NativeMap(MapType.PERCPU_ARRAY, 4, 8, 1)
    text = COUNT.replace("lock *(u64 *)(r0 + 0) += r1", "r2 = *(u64 *)(r0 + 0)\n r2 += 1\n *(u64 *)(r0 + 0) = r2")
    prog = load_native(text, ProgType.XDP, {"counts": counts}, engine=engine)
    prog.run_batch(np.zeros((50000, 64), np.uint8), threads=5)
    values = counts.lookup(bytes(4))
    assert values is not None
    assert len(values) == 8 * native.nr_vcpus()
    assert np.frombuffer(values, np.uint64).sum() == 50000


def test_more_threads_than_vcpus_all_get_their_turn() -> None:
    prog = load_native("call get_smp_processor_id\n exit", ProgType.XDP)
    ids = prog.run_batch([bytes(64)] * 4000, threads=4 * native.nr_vcpus())
    assert set(ids.tolist()) <= set(range(native.nr_vcpus()))


def test_a_short_run_gets_its_turn_beside_long_batches() -> None:
    slow = load_native("r0 = 0\n again: r0 += 1\n if r0 < 2000 goto again\n exit", ProgType.XDP)
    short = load_native("r0 = 5\n exit", ProgType.XDP, max_insns=2)
    rows = np.zeros((60_000, 1), np.uint8)
    batches = [threading.Thread(target=slow.run_batch, args=(rows,)) for _ in range(native.nr_vcpus())]
    for thread in batches:
        thread.start()
    done = 0
    while all(thread.is_alive() for thread in batches):
        assert short.run(bytes(64)) == 5
        done += 1
    for thread in batches:
        thread.join()
    assert done > 3


def unsafe(text: str, engine: int) -> NativeProg:
    return NativeProg(encode(assemble(text)), type=ProgType.SOCKET_FILTER, flags=ProgFlag.NEEDS_BUDGET, engine=engine)


def test_an_unverified_program_gets_the_memory_itself(engine: int) -> None:
    prog = unsafe("r0 = *(u8 *)(r1 + 0)\n *(u8 *)(r1 + 1) = 7\n r0 <<= 40\n r0 += r2\n exit", engine)
    memory = bytearray(b"\x03\x00\x00")
    assert prog.run(memory) == (3 << 40) + 3
    assert memory == b"\x03\x07\x00"
    fixed = b"\x03\x00\x00"
    assert prog.run(fixed) == (3 << 40) + 3
    assert fixed == b"\x03\x00\x00"
    assert prog.run_batch([memory, memory]).tolist() == [(3 << 40) + 3] * 2
    assert prog.test_run(fixed)[:2] == ((3 << 40) + 3, b"\x03\x07\x00")


def test_a_signal_ends_a_long_batch(engine: int) -> None:
    class Stop(Exception):
        pass

    def handler(*_: object) -> None:
        raise Stop

    slow = "r0 = 0\n again: r0 += 1\n if r0 < 2000 goto again\n exit"
    prog = load_native(slow, ProgType.XDP, engine=engine)
    old = signal.signal(signal.SIGALRM, handler)
    try:
        for run in (
            lambda: prog.run_batch(np.zeros((20_000_000, 1), np.uint8), threads=2),
            lambda: prog.test_run(bytes(64), repeat=20_000_000),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Stop):
                run()
    finally:
        signal.signal(signal.SIGALRM, old)


def test_statistics_count_runs_while_enabled() -> None:
    prog = load_native(LENGTH, ProgType.XDP)
    prog.run(bytes(64))
    assert prog.run_cnt == 0
    native.stats_enable()
    try:
        prog.run(bytes(64))
        prog.run_batch([bytes(64)] * 9)
        prog.test_run(bytes(64), repeat=10)
    finally:
        native.stats_disable()
    prog.run(bytes(64))
    assert prog.run_cnt == 20
    assert prog.run_time_ns > 0


ENTRY = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)


def test_entries_are_native_functions() -> None:
    memory = ctypes.create_string_buffer(b"\x05", 64)
    address = ctypes.addressof(memory)
    for engine in (0, 1):
        prog = unsafe("r0 = *(u8 *)(r1 + 0)\n r0 += r2\n exit", engine)
        assert prog.entry == prog.entry
        assert ENTRY(prog.entry)(address, 100) == 105
    assert ENTRY(prog.entry_raw)(address, 100) == 105
    endless = unsafe("again: goto again", 1)
    endless.budget = 10
    assert ENTRY(endless.entry)(address, 0) == 0
    verified = load_native("r0 = *(u8 *)(r1 + 0)\n exit", ProgType.TRACEPOINT, engine=1)
    assert ENTRY(verified.entry_raw)(address, 0) == 5
    assert ENTRY(verified.entry)(address, 0) == 5


def test_a_raw_entry_is_refused_where_it_could_not_run() -> None:
    with pytest.raises(Error, match="interpreted"):
        _ = unsafe("r0 = 0\n exit", 0).entry_raw
    with pytest.raises(Error, match="helpers"):
        _ = unsafe("call ktime_get_ns\n exit", 1).entry_raw


def test_a_forked_child_runs_programs() -> None:
    counts = array()
    prog = load_native(COUNT, ProgType.XDP, {"counts": counts}, engine=1)
    stop = threading.Event()

    def keep_running() -> None:
        while not stop.is_set():
            prog.run_batch([bytes(64)] * 100)

    threads = [threading.Thread(target=keep_running) for _ in range(native.nr_vcpus())]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                ok = prog.run_batch([bytes(64)] * 100, threads=native.nr_vcpus()).tolist() == [0] * 100
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
