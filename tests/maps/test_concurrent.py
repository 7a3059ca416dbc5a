"""Python and running programs on one HASH at once: two threads write, two read.

Values are eight equal words. Counters are keys that nobody replaces: programs add to their first word.
"""

import os
import struct
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.isa.table import PSEUDO_MAP_FD, PSEUDO_MAP_IDX
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import BPF_NOEXIST, MapType, ProgType

KEYS, COUNTERS, BATCH = 256, 16, 2048
PYTHON, PROGRAM, COUNTER = 0 << 32, 1 << 32, 2 << 32  # the high half of a key says whose it is
TORN, LOST, MISSING = 1, 2, 4

LOOKUP_EQUAL_WORDS = """
    *(u64 *)(r10 - 8) = r1
    r1 = table ll
    r2 = r10
    r2 += -8
    call map_lookup_elem
    if r0 == 0 goto {done}
    r1 = *(u64 *)(r0 + 0)
""" + "".join(f"    r2 = *(u64 *)(r0 + {8 * i})\n    if r1 != r2 goto torn\n" for i in range(1, 8))

WRITER = f"""
    r6 = r1
    r7 = *(u64 *)(r6 + 0)
    r8 = *(u64 *)(r6 + 8)
    *(u64 *)(r10 - 8) = r7
    {"".join(f"*(u64 *)(r10 - {16 + 8 * i}) = r8" + chr(10) for i in range(8))}
    r1 = table ll
    r2 = r10
    r2 += -8
    r3 = r10
    r3 += -72
    r4 = 0
    call map_update_elem
    if r0 != 0 goto out
    r1 = *(u64 *)(r6 + 16)
    *(u64 *)(r10 - 8) = r1
    r1 = table ll
    r2 = r10
    r2 += -8
    call map_lookup_elem
    if r0 == 0 goto missing
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r1 = r7
    {LOOKUP_EQUAL_WORDS.format(done="missing")}
    if r1 != r8 goto lost
    r1 = *(u64 *)(r6 + 24)
    {LOOKUP_EQUAL_WORDS.format(done="fine")}
    fine: r0 = 0
    out: exit
    torn: r0 = {TORN}
    exit
    lost: r0 = {LOST}
    exit
    missing: r0 = {MISSING}
    exit
"""

READER = f"""
    r6 = r1
    r1 = *(u64 *)(r6 + 24)
    {LOOKUP_EQUAL_WORDS.format(done="fine")}
    fine: r0 = 0
    exit
    torn: r0 = {TORN}
    exit
"""


class Job:
    """The table, the programs, and what its threads count."""

    def __init__(self, engine: int) -> None:
        self.table = NativeMap(MapType.HASH, 8, 64, 2 * KEYS + COUNTERS, name="table")
        self.writer, self.reader = (self.program(text, engine) for text in (WRITER, READER))
        for i in range(COUNTERS):
            self.table.update(struct.pack("<Q", COUNTER + i), bytes(64), BPF_NOEXIST)
        self.added = np.zeros(COUNTERS, dtype=np.uint64)
        self.operations = [0] * 4
        self.deadline = 0.0
        self.failures: list[BaseException] = []

    def program(self, text: str, engine: int) -> NativeProg:
        code = encode(assemble(text, {"table": 0}))
        # Named by index, as the verifier leaves it: LD_MAP_FD becomes LD_MAP_IDX.
        image = bytearray(code)
        for at in range(0, len(image), 8):
            if image[at] == 0x18 and image[at + 1] >> 4 == PSEUDO_MAP_FD:
                image[at + 1] = image[at + 1] & 15 | PSEUDO_MAP_IDX << 4
        return NativeProg(
            image, None, type=ProgType.SYSCALL, subprogs=[(0, 512, False)], maps=[self.table], engine=engine
        )

    def going(self) -> bool:
        return time.monotonic() < self.deadline and not self.failures

    def rows(self, rng: np.random.Generator, first_seq: int) -> np.ndarray:
        """Contexts: own key, sequence number, counter to raise, somebody's key to look at."""
        rows = np.zeros((BATCH, 4), dtype=np.uint64)
        rows[:, 0] = PROGRAM + rng.integers(0, KEYS, BATCH, dtype=np.uint64)
        rows[:, 1] = first_seq + np.arange(BATCH, dtype=np.uint64)
        rows[:, 2] = COUNTER + rng.integers(0, COUNTERS, BATCH, dtype=np.uint64)
        rows[:, 3] = rng.integers(0, KEYS, BATCH, dtype=np.uint64) + rng.choice([PYTHON, PROGRAM], BATCH)
        return rows

    def program_writes(self, rng: np.random.Generator) -> None:
        last, seq = {}, 1
        while self.going():
            rows = self.rows(rng, seq)
            seq += BATCH
            results = self.writer.run_batch(rows.view(np.uint8))
            assert not results.any(), f"a run of the writer gave {results[results != 0][:4]}"
            self.added += np.bincount((rows[:, 2] - COUNTER).astype(int), minlength=COUNTERS).astype(np.uint64)
            last.update(zip(rows[:, 0].tolist(), rows[:, 1].tolist(), strict=True))
            self.operations[0] += BATCH
        for key, value in last.items():
            assert self.table.lookup(struct.pack("<Q", key)) == struct.pack("<Q", value) * 8

    def program_reads(self, rng: np.random.Generator) -> None:
        while self.going():
            results = self.reader.run_batch(self.rows(rng, 0).view(np.uint8))
            assert not results.any(), f"a run of the reader gave {results[results != 0][:4]}"
            self.operations[1] += BATCH

    def python_writes(self, rng: np.random.Generator) -> None:
        last: dict[bytes, bytes | None] = {}
        while self.going():
            for n, seq, verb in rng.integers(0, 1 << 32, (256, 3)).tolist():
                key = struct.pack("<Q", PYTHON + n % KEYS)
                assert self.table.lookup(key) == last.get(key)
                if verb % 4:
                    value = struct.pack("<Q", seq) * 8
                    self.table.update(key, value)
                    last[key] = value
                elif last.get(key) is not None:
                    taken = self.table.lookup_and_erase(key)
                    assert taken == last[key]
                    last[key] = None
                self.operations[2] += 1

    def python_reads(self, rng: np.random.Generator) -> None:
        while self.going():
            for n, whose in rng.integers(0, KEYS, (256, 2)).tolist():
                value = self.table.lookup(struct.pack("<Q", (PYTHON, PROGRAM)[whose & 1] + n))
                assert value is None or value == value[:8] * 8, f"a mix of updates: {value.hex()}"
                self.operations[3] += 1

    def guarded(self, work: Callable[[np.random.Generator], None], seed: int) -> None:
        try:
            work(np.random.default_rng(seed))
        except BaseException as e:
            self.failures.append(e)

    def run(self, seconds: float) -> None:
        work = self.program_writes, self.program_reads, self.python_writes, self.python_reads
        threads = [threading.Thread(target=self.guarded, args=(f, i)) for i, f in enumerate(work)]
        self.deadline = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]


def check(engine: int, seconds: float) -> None:
    job = Job(engine)
    job.run(seconds)
    assert all(job.operations), job.operations
    counts = [struct.unpack("<Q", job.table.lookup(struct.pack("<Q", COUNTER + i))[:8])[0] for i in range(COUNTERS)]
    assert counts == job.added.tolist()
    assert len(job.table) == sum(1 for _ in walk(job.table))


def walk(table: NativeMap):
    key = table.next_key(None)
    while key is not None:
        yield key
        key = table.next_key(key)


@pytest.mark.parametrize("engine", [0, 1], ids=["interp", "jit"])
def test_two_writers_and_two_readers(engine: int) -> None:
    check(engine, float(os.environ.get("PYEBPF_STRESS_SECONDS", "3")))


@pytest.mark.slow
def test_two_writers_and_two_readers_for_a_minute() -> None:
    check(1, 60)
