"""Hash and array operations as programs do them: one program in a loop over many keys, here and on Linux."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyebpf.bench.result import Result, compare
from pyebpf.errors import Error
from pyebpf.objects.map import Map
from pyebpf.objects.program import Program

PER_RUN = 512
"""Operations of one run."""

HEAD = """
    r6 = r1
    r7 = 0
    r8 = counter[0]+0 ll
    r0 = *(u32 *)(r8 + 0)
    r9 = r0
    r0 += {per_run}
    *(u32 *)(r8 + 0) = r0
again:
    r1 = r9
    r1 += r7
    w1 *= 0x9E3779B1
    w1 >>= {shift}
    r2 = 0
    *(u64 *)(r10 - 24) = r2
    *(u64 *)(r10 - 16) = r2
    *(u32 *)(r10 - 24) = r1
    *(u64 *)(r10 - 8) = r1
    r1 = m ll
    r2 = r10
    r2 += -24
"""
"""Keys: a counter that goes on from run to run, hashed to one of 2^(32 - shift); the key stands at r10 - 24."""

TAIL = """
    r7 += 1
    if r7 < {per_run} goto again
    r0 = 0
    exit
"""

OPERATIONS = {
    "lookup": """
    call bpf_map_lookup_elem
    if r0 == 0 goto next
    r1 = *(u64 *)(r0 + 0)
next:
""",
    "update": """
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_map_update_elem
""",
    "delete + insert": """
    call bpf_map_delete_elem
    r1 = m ll
    r2 = r10
    r2 += -24
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_map_update_elem
""",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A map of 2^bits elements, all present, and an operation on them."""

    type: str
    key: int
    value: int
    bits: int
    operation: str

    @property
    def name(self) -> str:
        """For the table."""
        n = 1 << self.bits
        size = f"{n >> 20}M" if n >= 1 << 20 else f"{n >> 10}k" if n >= 1 << 10 else str(n)
        return f"{self.type} {self.operation}, key {self.key}, value {self.value}, {size}"


def cases(quick: bool) -> list[Case]:
    """What is measured."""
    sizes = (10,) if quick else (10, 16, 20)
    keys = (4,) if quick else (4, 16)
    found = [Case("hash", key, 8, bits, op) for key in keys for bits in sizes for op in OPERATIONS]
    return found + [Case("array", 4, 8, bits, op) for bits in sizes for op in ("lookup", "update")]


def filled(case: Case, backend: str) -> Map:
    """The map with all its keys."""
    m = Map.create(case.type, case.key, case.value, 1 << case.bits, name="m", backend=backend)
    for i in range(1 << case.bits):
        m.update(i.to_bytes(case.key, "little"), i.to_bytes(case.value, "little"))
    return m


def source(case: Case) -> str:
    """The program."""
    return (HEAD + OPERATIONS[case.operation] + TAIL).format(per_run=PER_RUN, shift=32 - case.bits)


def timer(case: Case, engine: str, keep: list[Any]) -> Callable[[], float]:
    """ns per operation of one round on that engine ("jit", "interp", "linux")."""
    backend = "kernel" if engine == "linux" else "user"
    maps = {
        "m": filled(case, backend),
        "counter": Map.create("array", 4, 4, 1, name="counter", backend=backend),
    }
    where: dict[str, Any] = {"backend": "kernel"} if engine == "linux" else {"engine": engine}
    program = Program.load(source(case), "xdp", maps=maps, **where)
    keep += [program, *maps.values()]
    repeat = 200 if engine != "interp" else 40

    def measure() -> float:
        return program.test_run(bytes(64), repeat=repeat).duration_ns / PER_RUN

    return measure


def run(*, quick: bool = False) -> list[Result]:
    """Every case on every engine there is; ratio to Linux where Linux may be asked."""
    results = []
    for case in cases(quick):
        keep: list[Any] = []
        timers = {}
        for engine in ("linux", "jit", "interp"):
            try:
                timers[engine] = timer(case, engine, keep)
            except (OSError, Error):
                if engine != "linux":
                    raise
        results += compare(case.name, timers, 3 if quick else 11, "linux")
        for thing in reversed(keep):
            thing.close()
    return results
