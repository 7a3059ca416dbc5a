"""The flow dissector of 2014 and the replay of a capture; ratios to native C of the same run are in extra_info."""

import pathlib
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import pyebpf
from pyebpf import _baseline
from pyebpf.bench import flow_dissector as bench
from pyebpf.bench import shapes
from pyebpf.bench.result import compare

DATA = pathlib.Path(pyebpf.__file__).parent / "data"
ENGINES = ("native C", "JIT", "interpreter", "Linux JIT")


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, bench.Engine]]:
    made = bench.Engines()
    yield {engine.name: engine for engine in made.engines}
    made.close()


@pytest.fixture(scope="module", params=bench.CASES, ids=lambda case: case.name)
def arena(request: pytest.FixtureRequest) -> tuple[bench.Case, _baseline.Arena]:
    case: bench.Case = request.param
    if case.nbytes * 5 // 4 > bench.available_nbytes():
        pytest.skip(f"{case.nbytes >> 20} MiB of packets do not fit into this machine's memory")
    return case, _baseline.Arena(case.nbytes, list(shapes.SHAPES))


@pytest.mark.parametrize("name", ENGINES)
def test_dissect(
    benchmark: BenchmarkFixture, engines: dict[str, bench.Engine], arena: tuple[bench.Case, _baseline.Arena], name: str
) -> None:
    """One round is 2^16 or 2^17 packets (an eighth for the interpreter)."""
    case, memory = arena
    if name not in engines:
        pytest.skip("Linux's JIT image cannot be read or called here")
    timers = {engine: bench.timer(memory, engines[engine], bench.order(case, memory)) for engine in ("native C", name)}
    rows = compare(case.name, timers, 15, "native C")
    benchmark.extra_info["ns_per_packet"] = rows[-1].ns
    benchmark.extra_info["ratio_to_native"] = rows[-1].ratio
    benchmark.pedantic(timers[name], rounds=15)


@pytest.mark.parametrize("engine", ["jit", "interp"])
def test_replay(benchmark: BenchmarkFixture, engine: str) -> None:
    """Reader and the demo's program over its capture; mpps in extra_info."""
    with pyebpf.Collection.load(DATA / "bpf" / "xdp_flow.o", engine=engine) as coll:
        program = coll.programs["xdp_flow"]

        def replay() -> int:
            packets = 0
            with pyebpf.open_capture(DATA / "demo.pcapng") as capture:
                for batch in capture:
                    packets += len(program.run_batch(batch))
            return packets

        packets = benchmark.pedantic(replay, rounds=15, warmup_rounds=1)
        benchmark.extra_info["mpps"] = packets / benchmark.stats.stats.median / 1e6
