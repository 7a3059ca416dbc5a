"""2014's benchmark: the flow dissector as native code, on our engines and by Linux's JIT, in one loop.

Every engine is a function `uint64_t (*)(void *r1, uint64_t r2)` called for one packet after another by the same C loop
(benchmarks/native), which prepares the context and reads what was written. Rounds are interleaved, and a ratio is the
median of the rounds' own ratios. Three sizes of memory: 8 packets again and again (all in the cache), and different
packets in random order over 64 MiB and 1 GiB.
"""

import os
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyebpf import _baseline
from pyebpf.bench import data, linux_image, shapes
from pyebpf.bench.result import Result, compare
from pyebpf.errors import Error
from pyebpf.loader import CollectionSpec
from pyebpf.objects.collection import Collection

NAME = "dissect_flow"
NATIVE = "native C"
PUBLISHED = {
    ("cached", NATIVE): "42",
    ("cached", "JIT"): "51",
    ("64 MiB, random", NATIVE): "141",
    ("64 MiB, random", "JIT"): "135",
}
"""ns of the 2014 patch set: C and eBPF+JIT with the same packet, and with cache misses."""


class Engine(NamedTuple):
    """A function to time; interpreters take fewer packets a round."""

    name: str
    address: int
    ctx: int
    share: int = 1


class Case(NamedTuple):
    """Memory and how many packets of it a round visits."""

    name: str
    nbytes: int
    packets: int


CASES = (
    Case("cached", 8 * _baseline.SLOT_NBYTES, 1 << 16),
    Case("64 MiB, random", 64 << 20, 1 << 17),
    Case("1 GiB, random", 1 << 30, 1 << 17),
)


class Engines:
    """The engines there are on this machine; keeps what their addresses point to."""

    def __init__(self) -> None:
        spec = CollectionSpec.load(data.dissector())
        self._keep: list[Any] = []
        self.engines = [Engine(NATIVE, _baseline.dissect_address, _baseline.CTX_SKB)]
        for engine, name, share in (("jit", "JIT", 1), ("interp", "interpreter", 8)):
            program = self._hold(Collection.load(spec, engine=engine)).programs[NAME]
            address = program.entry_raw if engine == "jit" else program.entry
            self.engines.append(Engine(name, address, _baseline.CTX_SKB, share))
        self._add_linux(spec)

    def _hold(self, thing: Any) -> Any:
        self._keep.append(thing)
        return thing

    def _add_linux(self, spec: CollectionSpec) -> None:
        """Linux's JIT, if it can be had and gives what the native code gives."""
        code = linux_image.read(spec, NAME)
        if code is None:
            return
        image = self._hold(linux_image.LinuxImage(code))
        engine = Engine("Linux JIT", image.address, _baseline.CTX_LINUX_FLOW)
        if linux_image.survives(lambda: agrees(engine)):
            self.engines.append(engine)

    def close(self) -> None:
        """Let go of programs."""
        for thing in self._keep:
            if isinstance(thing, Collection):
                thing.close()


def agrees(engine: Engine) -> bool:
    """Whether it gives the native hash and keys for each shape."""
    return all(_baseline.run(engine.address, engine.ctx, s) == _baseline.dissect(s) for s in shapes.SHAPES)


def order(case: Case, arena: _baseline.Arena) -> NDArray[np.uint32]:
    """The slots a round visits."""
    if arena.slots <= len(shapes.SHAPES):
        return np.resize(np.arange(arena.slots, dtype=np.uint32), case.packets)
    rng = np.random.default_rng(2014)
    return rng.integers(0, arena.slots, case.packets, dtype=np.uint32)


def timer(arena: _baseline.Arena, engine: Engine, visits: NDArray[np.uint32]) -> Callable[[], float]:
    """ns a call over that engine's share of the visits, other ones each round."""
    per_round = len(visits) // engine.share
    state = 0

    def measure() -> float:
        nonlocal state
        at = state * per_round % (len(visits) - per_round + 1)
        state += 1
        ns, _ = arena.time(engine.address, engine.ctx, visits[at : at + per_round])
        return ns

    return measure


def available_nbytes() -> int:
    """Memory that can be had without swapping."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def run_case(case: Case, engines: list[Engine], rounds: int) -> list[Result]:
    """Medians of that many rounds."""
    arena = _baseline.Arena(case.nbytes, list(shapes.SHAPES))
    visits = order(case, arena)
    results = []
    for r in compare(case.name, {e.name: timer(arena, e, visits) for e in engines}, rounds, NATIVE):
        extra = {"2014": PUBLISHED.get((case.name, r.engine), "")}
        results.append(Result(r.case, r.engine, r.ns, r.ratio, extra))
    return results


def test_run(spec: CollectionSpec, native_ns: float, rounds: int) -> list[Result]:
    """What Linux's PROG_TEST_RUN reports, its own cost of some 8 ns included; [] where it may not be asked."""
    try:
        with Collection.load(spec, programs=(NAME,), backend="kernel") as coll:
            program = coll.programs[NAME]
            seen = [
                statistics.mean(program.test_run(s, repeat=20_000).duration_ns for s in shapes.SHAPES)
                for _ in range(rounds)
            ]
    except (OSError, Error):
        return []
    ns = statistics.median(seen)
    return [Result("cached", "Linux PROG_TEST_RUN", ns, ns / native_ns, {"2014": ""})]


def run(*, quick: bool = False) -> list[Result]:
    """The table; quick: fewer rounds, and no 1 GiB."""
    engines = Engines()
    rounds = 7 if quick else 41
    results = []
    try:
        for case in CASES[:2] if quick else CASES:
            if case.nbytes * 5 // 4 > available_nbytes():
                continue
            results += run_case(case, engines.engines, rounds)
            if case.name == "cached":
                results += test_run(CollectionSpec.load(data.dissector()), results[0].ns, 3 if quick else 11)
    finally:
        engines.close()
    return results
