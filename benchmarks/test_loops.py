"""Loops of arithmetic, branches and memory: the JIT and the interpreter against the same loop compiled natively.

`extra_info` has the ratio to native code: the median of interleaved rounds' own ratios.
"""

import ctypes
import pathlib
import statistics
import subprocess
import sysconfig
import time
from collections.abc import Callable

import pytest

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.native import NativeProg
from pyebpf.spec.kinds import ProgType
from tests.jit.test_executed import COLLATZ, SIEVE, XORSHIFT

NATIVE = """
#include <stdint.h>
uint64_t xorshift(uint64_t x, uint64_t unused)
{
	for (int i = 0; i != 100; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}
uint64_t collatz(uint64_t x, uint64_t unused)
{
	uint64_t n = 0;
	for (; x != 1; n++)
		x = x & 1 ? 3 * x + 1 : x >> 1;
	return n;
}
uint64_t sieve(uint8_t *table, uint64_t unused)
{
	uint64_t n = 0;
	for (uint64_t i = 2; i < 256; i++) {
		if (table[i])
			continue;
		n++;
		for (uint64_t j = 2 * i; j < 256; j += i)
			table[j] = 1;
	}
	return n;
}
/* ns of n calls; the first 256 bytes at r1 are cleared before each where clear says so. */
double timed(uint64_t (*fn)(uint64_t, uint64_t), uint64_t r1, int clear, int n)
{
	struct timespec { long sec, ns; } a, b;
	extern int clock_gettime(int, struct timespec *);
	clock_gettime(1, &a);
	for (int i = 0; i < n; i++) {
		if (clear)
			__builtin_memset((void *)r1, 0, 256);
		fn(r1, 0);
	}
	clock_gettime(1, &b);
	return (b.sec - a.sec) * 1e9 + (b.ns - a.ns);
}
"""
LOOPS = {"xorshift": XORSHIFT, "collatz": COLLATZ, "sieve": SIEVE}
CALLS, ROUNDS = 2000, 41


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: pathlib.Path = tmp_path_factory.mktemp("loops")
    (folder / "loops.c").write_text(NATIVE)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "loops.c", "-o", "loops.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "loops.so"))
    library.timed.restype = ctypes.c_double
    return library


@pytest.mark.parametrize("loop", LOOPS)
def test_loop(benchmark, native: ctypes.CDLL, loop: str) -> None:
    prog = NativeProg(encode(assemble(LOOPS[loop])), type=ProgType.SYSCALL, engine=1)
    table = ctypes.create_string_buffer(256)
    r1 = {"xorshift": 88172645463325252, "collatz": 27, "sieve": ctypes.addressof(table)}[loop]

    def timer(address: int) -> Callable[[], float]:
        args = (ctypes.c_void_p(address), ctypes.c_uint64(r1), int(loop == "sieve"), CALLS)
        return lambda: native.timed(*args) / CALLS

    jit = timer(prog.entry_raw)
    baseline = timer(ctypes.cast(getattr(native, loop), ctypes.c_void_p).value or 0)
    pairs = [(jit(), baseline()) for _ in range(ROUNDS)]
    benchmark.pedantic(jit, rounds=ROUNDS)
    benchmark.extra_info.update(
        ns=statistics.median(j for j, _ in pairs), ratio_to_native=statistics.median(j / n for j, n in pairs)
    )


@pytest.mark.parametrize("n", [600, 4000, 100_000])
@pytest.mark.parametrize("kind", ["straight", "branchy"])
def test_compile(benchmark, n: int, kind: str) -> None:
    """ns an instruction: decoding, compiling, freeing."""
    step = "r0 *= 5\nr0 += 1\n" if kind == "straight" else "r0 += r1\nif r0 s> 7 goto +1\nr0 ^= r2\nr0 *= 3\n"
    body = step * (n // step.count("\n"))
    image = encode(assemble("r0 = r1\n" + body + "exit"))

    def once() -> float:
        start = time.perf_counter_ns()
        NativeProg(image, type=ProgType.SYSCALL, engine=1)
        return (time.perf_counter_ns() - start) / (len(image) // 8)

    seen = [once() for _ in range(9)]
    benchmark.pedantic(once, rounds=5)
    benchmark.extra_info.update(ns_per_insn=statistics.median(seen))
