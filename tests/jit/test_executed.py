"""How many machine instructions programs execute: a measure of speed without noise, so that it cannot slip unseen.

The bounds are what was measured when they were written, with 2 % to spare; they may be lowered.
"""

import ctypes
import pathlib
import subprocess
import sysconfig
from collections.abc import Callable, Iterator

import pytest

from pyebpf.native import NativeProg
from tests.jit.machine import compile_text, cpu_has

Counter = Callable[[NativeProg, int, int], tuple[int, int]]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """(instructions, R0) of one bare run."""
    if not cpu_has("bmi2", "movbe"):
        pytest.skip("the counts are those of a CPU with BMI2 and MOVBE")
    library = tmp_path_factory.mktemp("step") / "step.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    source = pathlib.Path(__file__).parent / "step.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    count = ctypes.CDLL(str(library)).step_count
    count.restype = ctypes.c_uint64

    def run(prog: NativeProg, r1: int = 0, r2: int = 0) -> tuple[int, int]:
        r0 = ctypes.c_uint64()
        code, n64 = prog.entry_raw, ctypes.c_uint64
        n = count(n64(code), n64(r1), n64(r2), n64(code), n64(len(prog.jited)), ctypes.byref(r0))
        return int(n), r0.value

    yield run


XORSHIFT = """
    r0 = r1
    r2 = 0
    top: r3 = r0
    r3 <<= 13
    r0 ^= r3
    r3 = r0
    r3 >>= 7
    r0 ^= r3
    r3 = r0
    r3 <<= 17
    r0 ^= r3
    r2 += 1
    if r2 != 100 goto top
    exit
"""
COLLATZ = """
    r0 = 0
    top: if r1 == 1 goto out
    r2 = r1
    r2 &= 1
    if r2 == 0 goto even
    r2 = r1
    r2 <<= 1
    r1 += r2
    r1 += 1
    r0 += 1
    goto top
    even: r1 >>= 1
    r0 += 1
    goto top
    out: exit
"""
SIEVE = """
    r0 = 0
    r3 = 2
    outer: r4 = r1
    r4 += r3
    r5 = *(u8 *)(r4 + 0)
    if r5 != 0 goto next
    r0 += 1
    r6 = r3
    r6 += r3
    inner: if r6 >= 256 goto next
    r4 = r1
    r4 += r6
    *(u8 *)(r4 + 0) = 1
    r6 += r3
    goto inner
    next: r3 += 1
    if r3 < 256 goto outer
    exit
"""


def xorshift(x: int) -> int:
    for _ in range(100):
        x ^= x << 13 & (1 << 64) - 1
        x ^= x >> 7
        x ^= x << 17 & (1 << 64) - 1
    return x


def test_counts_are_exact(executed: Counter) -> None:
    assert executed(compile_text("r0 = r1\nexit"), 5, 0) == (2, 5)
    loop = "r0 = 0\ntop: r0 += 2\nif r0 != 20 goto top\nexit"
    assert executed(compile_text(loop), 0, 0) == (1 + 10 * 3 + 1, 20)


def test_xorshift(executed: Counter) -> None:
    n, r0 = executed(compile_text(XORSHIFT), 88172645463325252, 0)
    assert r0 == xorshift(88172645463325252)
    assert n <= 1225


def test_collatz(executed: Counter) -> None:
    n, r0 = executed(compile_text(COLLATZ), 27, 0)
    assert r0 == 111  # steps from 27 to 1
    assert n <= 880


def test_byte_sieve(executed: Counter) -> None:
    table = ctypes.create_string_buffer(256)
    n, r0 = executed(compile_text(SIEVE), ctypes.addressof(table), 0)
    assert r0 == 54  # primes below 256
    assert n <= 3975
