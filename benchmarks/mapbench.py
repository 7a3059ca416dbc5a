"""Map operations from a running program, the same program here (JIT) and in Linux, ns per operation.

A run does 256 operations on pseudo-random keys; its loop without the operation is measured too and taken off, so what
is left is the operation, its call and its null check. Keys of 16 bytes are a multiple of the index and the index.
`python -m benchmarks.mapbench` prints the table.
"""

import argparse
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.isa.table import PSEUDO_MAP_FD, PSEUDO_MAP_IDX
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import MapType, ProgType
from tests import linux

RUN = 256
GOLDEN = 0x9E3779B97F4A7C15
SPARE = 4096
PACKET = bytes(64)

HEAD = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = state ll
    call map_lookup_elem
    if r0 == 0 goto end
    r6 = r0
    r7 = *(u64 *)(r6 + 0)
    r1 = 7
    {value}
    r8 = {run}
    loop:
"""
RANDOM = """
    r1 = r7
    r1 <<= 13
    r7 ^= r1
    r1 = r7
    r1 >>= 7
    r7 ^= r1
    r1 = r7
    r1 <<= 17
    r7 ^= r1
    r9 = r7
    r9 >>= 20
    r9 &= {mask}
"""
NEXT = "r9 = r7\n r7 += 1\n"
KEYS = {
    4: "*(u32 *)(r10 - 32) = r9\n",
    16: f"r1 = {GOLDEN - (1 << 64)} ll\n r1 *= r9\n *(u64 *)(r10 - 32) = r1\n *(u64 *)(r10 - 24) = r9\n",
}
KEY_ARGS = "r2 = r10\n r2 += -32\n r1 = m ll\n"
LOOKUP = KEY_ARGS + "call map_lookup_elem\n if r0 == 0 goto next\n r1 = *(u64 *)(r0 + 0)\n next:\n"
UPDATE = KEY_ARGS + "r3 = r10\n r3 += -{at}\n r4 = 0\n call map_update_elem\n"
DELETE = KEY_ARGS + "call map_delete_elem\n"
TAIL = """
    r8 -= 1
    if r8 != 0 goto loop
    *(u64 *)(r6 + 0) = r7
    end: r0 = 0
    exit
"""


def program(op: str, key_size: int, value_size: int, n: int) -> str:
    """The text of one benchmark program."""
    value = "".join(f"*(u64 *)(r10 - {160 - i}) = r1\n" for i in range(0, value_size, 8))
    update = UPDATE.format(at=160)
    body = {"empty": "", "lookup": LOOKUP, "miss": LOOKUP, "update": update, "insdel": update + DELETE, "fill": update}
    index = NEXT if op == "fill" else RANDOM.format(mask=n - 1)
    if op in ("miss", "insdel"):
        index += f"r9 += {n}\n"
    return HEAD.format(run=RUN, value=value) + index + KEYS[key_size] + body[op] + TAIL


def image(text: str) -> bytes:
    """Maps by index: state 0, m 1."""
    code = bytearray(encode(assemble(text, {"state": 0, "m": 1})))
    for at in range(0, len(code), 8):
        if code[at] == 0x18 and code[at + 1] >> 4 == PSEUDO_MAP_FD:
            code[at + 1] = code[at + 1] & 15 | PSEUDO_MAP_IDX << 4
    return bytes(code)


class Here:
    """This process's engine."""

    def __init__(self, kind: MapType, key_size: int, value_size: int, max_entries: int) -> None:
        self.state = NativeMap(MapType.ARRAY, 4, 8, 1)
        self.m = NativeMap(kind, key_size, value_size, max_entries)

    def seed(self, value: int) -> None:
        self.state.update(bytes(4), value.to_bytes(8, "little"))

    def load(self, text: str) -> Callable[[int], float]:
        maps = [self.state, self.m]
        prog = NativeProg(image(text), None, type=ProgType.XDP, subprogs=[(0, 512, False)], maps=maps, engine=1)
        return lambda repeat: float(prog.test_run(PACKET, None, repeat)[3])


class Kernel:
    """Linux's."""

    def __init__(self, kind: MapType, key_size: int, value_size: int, max_entries: int) -> None:
        self.state = linux.create_map(MapType.ARRAY, 4, 8, 1)
        self.m = linux.create_map(kind, key_size, value_size, max_entries)

    def seed(self, value: int) -> None:
        self.state.update(bytes(4), value.to_bytes(8, "little"))

    def load(self, text: str) -> Callable[[int], float]:
        prog = linux.prog_load(image(text), ProgType.XDP, fd_array=[self.state, self.m])
        return lambda repeat: float(prog.test_run(PACKET, repeat=repeat).duration_ns)


def linux_works() -> bool:
    """Whether the running kernel takes maps from us."""
    try:
        linux.create_map(MapType.ARRAY, 4, 8, 1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    kind: MapType
    key_size: int
    value_size: int
    n: int
    op: str

    def __str__(self) -> str:
        return f"{self.kind.name} k{self.key_size} v{self.value_size} {self.n:>8} {self.op:8}"


class Bench:
    """A filled map on one side and its programs."""

    def __init__(self, side: type[Here] | type[Kernel], kind: MapType, key_size: int, value_size: int, n: int) -> None:
        self.shape = key_size, value_size, n
        indexed = kind in (MapType.ARRAY, MapType.PERCPU_ARRAY)
        self.side = side(kind, key_size, value_size, n if indexed else n + SPARE)
        self.runs = {}
        if not indexed:
            self.side.seed(0)
            self.side.load(program("fill", *self.shape))(n // RUN)
        self.side.seed(88172645463325252)

    def ns(self, op: str, repeat: int, rounds: int) -> float:
        """ns of one run, the least of some rounds."""
        if op not in self.runs:
            self.runs[op] = self.side.load(program(op, *self.shape))
            self.runs[op](8)
        return min(self.runs[op](repeat) for _ in range(rounds))


def compare(case: Case, ops: tuple[str, ...], rounds: int = 60) -> dict[str, tuple[float, float]]:
    """ns per operation (here, Linux) of each op: the least of many short rounds, taken in turn.

    A round is some 8,000 operations, under a millisecond, so that most rounds are not interrupted even on a busy
    machine.
    """
    repeat = 32
    shape = case.kind, case.key_size, case.value_size, case.n
    sides = [Bench(Here, *shape), Bench(Kernel, *shape)]
    best: dict[tuple[str, int], float] = {}
    for _, op, (i, side) in itertools.product(range(rounds), ("empty", *ops), enumerate(sides)):
        best[op, i] = min(best.get((op, i), 1e18), side.ns(op, repeat, 1))
    # mypy sees a tuple of any length where a pair is made.
    return {op: tuple((best[op, i] - best["empty", i]) / RUN for i in (0, 1)) for op in ops}  # type: ignore[misc]


def two_threads(kind: MapType, key_size: int, value_size: int, n: int, seconds: float = 1.0) -> tuple[float, float]:
    """Two threads, nine runs of lookups for one of updates: ns per operation and thread (here, Linux)."""
    out = []
    for side in (Here, Kernel):
        bench = Bench(side, kind, key_size, value_size, n)
        for op in ("lookup", "update"):
            bench.ns(op, 8, 1)
        done = [0, 0]
        stop = time.perf_counter() + seconds

        def work(i: int, bench: Bench = bench, done: list[int] = done, stop: float = stop) -> None:
            while time.perf_counter() < stop:
                bench.runs["lookup"](90)
                bench.runs["update"](10)
                done[i] += 100 * RUN

        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        start = time.perf_counter()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        out.append((time.perf_counter() - start) * 2e9 / sum(done))
    return out[0], out[1]


SHAPES = ((16, 8), (4, 8), (16, 64))
SIZES = (1 << 10, 1 << 16, 1 << 20)
OPS = ("lookup", "miss", "update", "insdel")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    print(f"{'':34}{'here':>8}{'Linux':>8}{'ratio':>7}")
    for (key_size, value_size), n in itertools.product(SHAPES, args.sizes):
        for op, (ns, base) in compare(Case(MapType.HASH, key_size, value_size, n, ""), OPS, args.rounds).items():
            print(
                f"{Case(MapType.HASH, key_size, value_size, n, op)!s:34}{ns:8.1f}{base:8.1f}{ns / base:7.2f}",
                flush=True,
            )
    for kind, n in itertools.product((MapType.ARRAY, MapType.PERCPU_HASH), args.sizes):
        key_size = 4 if kind == MapType.ARRAY else 16
        for op, (ns, base) in compare(Case(kind, key_size, 8, n, ""), ("lookup",), args.rounds).items():
            print(f"{Case(kind, key_size, 8, n, op)!s:34}{ns:8.1f}{base:8.1f}{ns / base:7.2f}", flush=True)
    for n in args.sizes:
        ns, base = two_threads(MapType.HASH, 16, 8, n)
        print(f"{Case(MapType.HASH, 16, 8, n, '2x90:10')!s:34}{ns:8.1f}{base:8.1f}{ns / base:7.2f}", flush=True)


if __name__ == "__main__":
    main()
