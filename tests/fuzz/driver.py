"""Mutational fuzzing of a reader: good inputs are damaged, and only its own errors may come out.

A target module has `seeds() -> list[bytes]`, `run(data)` and `ERRORS`. A case fails on any other exception,
and when it takes more than a second of processor time or 200 MB. What failed is written to fuzz-NAME-SEED-CASE.bin.
"""

import argparse
import os
import pathlib
import random
import resource
import struct
import time
import traceback
from collections.abc import Callable, Sequence

SLOWER = 4 if "ASAN_OPTIONS" in os.environ else 1
"""Under AddressSanitizer memory that was freed is kept for a while, and Python is slower."""
MAX_SECONDS = 1.0 * SLOWER
MAX_BYTES = (200 << 20) * SLOWER
INTERESTING = (0, 1, 2, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
INTERESTING_64 = (1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0xFFFFFFFFFFFFFFF0)


def _flip(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _number(rng: random.Random, data: bytearray) -> None:
    form, values = rng.choice((("<H", INTERESTING), ("<I", INTERESTING), ("<Q", INTERESTING + INTERESTING_64)))
    size = struct.calcsize(form)
    if len(data) >= size:
        at = rng.randrange(0, len(data) - size + 1)
        if rng.random() < 0.8:
            at -= at % min(size, 4)
        struct.pack_into(form, data, at, rng.choice(values) & ((1 << 8 * size) - 1))


def _nudge(rng: random.Random, data: bytearray) -> None:
    """Change a 32-bit number by little."""
    if len(data) >= 4:
        at = rng.randrange(0, len(data) - 3) // 4 * 4
        (value,) = struct.unpack_from("<I", data, at)
        struct.pack_into("<I", data, at, (value + rng.randint(-9, 9)) & 0xFFFFFFFF)


def _copy(rng: random.Random, data: bytearray) -> None:
    size = rng.choice((4, 8, 12, 16, 24, 64))
    if len(data) > size:
        source, target = (rng.randrange(len(data) - size) // 4 * 4 for _ in range(2))
        data[target : target + size] = data[source : source + size]


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(1, len(data) + 1) :]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 4, 8)))


MUTATIONS: Sequence[Callable[[random.Random, bytearray], None]] = (
    _flip,
    _byte,
    _number,
    _number,
    _nudge,
    _nudge,
    _copy,
)
RARE: Sequence[Callable[[random.Random, bytearray], None]] = (_truncate, _insert)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """A damaged copy."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 6, 20))):
        if out:
            rng.choice(RARE if rng.random() < 0.03 else MUTATIONS)(rng, out)
    return bytes(out)


def peak_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check(run: Callable[[bytes], object], errors: tuple[type[Exception], ...], data: bytes) -> bool:
    """Run one case; True if the input was accepted. AssertionError when it breaks the rules."""
    before, start = peak_bytes(), time.process_time()
    try:
        run(data)
        accepted = True
    except errors:
        accepted = False
    taken = time.process_time() - start
    assert taken < MAX_SECONDS, f"took {taken:.1f} s"
    assert peak_bytes() - before < MAX_BYTES, f"took {(peak_bytes() - before) >> 20} MB"
    return accepted


def main(name: str, seeds: Sequence[bytes], run: Callable[[bytes], object], errors: tuple[type[Exception], ...]) -> int:
    """The command line of a fuzzer: --seconds N --seed S; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for seed in seeds:
        run(seed)
    end = time.monotonic() + options.seconds
    cases = accepted = found = 0
    while time.monotonic() < end and found < 10:
        rng = random.Random(f"{options.seed}/{cases}")
        data = mutate(rng, rng.choice(seeds))
        try:
            accepted += check(run, errors, data)
        except Exception:
            found += 1
            path = pathlib.Path(f"fuzz-{name}-{options.seed}-{cases}.bin")
            path.write_bytes(data)
            print(f"{path}:")
            traceback.print_exc()
        cases += 1
    print(f"{name}: {cases} cases, {accepted} accepted, {found} found")
    return 1 if found else 0
