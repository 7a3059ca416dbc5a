"""Map operations from a running program, with the ratio to Linux's map in `extra_info` (docs/maps.md has the table).

The anchors measured on a quiet machine are Linux 16/45/147 ns for a lookup, 46/92/382 for an update and 95/125/320
for an insert and delete at 1k, 64k and 1M entries.
"""

from typing import Any

import pytest

from benchmarks.mapbench import OPS, RUN, SHAPES, SIZES, Bench, Here, compare, linux_works, two_threads
from benchmarks.mapbench import Case as MapCase
from pyebpf.spec.kinds import MapType
from tests import require

HASH_CASES = [
    MapCase(MapType.HASH, key_size, value_size, n, op) for key_size, value_size in SHAPES for n in SIZES for op in OPS
]
OTHER_CASES = [
    MapCase(kind, key_size, 8, n, "lookup")
    for kind, key_size in ((MapType.ARRAY, 4), (MapType.PERCPU_ARRAY, 4), (MapType.PERCPU_HASH, 16))
    for n in SIZES
]


@pytest.mark.parametrize("case", [*HASH_CASES, *OTHER_CASES], ids=str)
def test_operation(benchmark: Any, case: MapCase) -> None:
    """One round is 256 runs of 256 operations, the loop around them included; extra_info has the operation alone."""
    bench = Bench(Here, case.kind, case.key_size, case.value_size, case.n)
    benchmark.pedantic(bench.ns, args=(case.op, RUN, 1), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_per_run"] = bench.ns(case.op, RUN, 5)
    if linux_works():
        here, linux = compare(case, (case.op,))[case.op]
        benchmark.extra_info.update(ns=round(here, 2), linux_ns=round(linux, 2), ratio=round(here / linux, 3))


@pytest.mark.parametrize("n", SIZES)
def test_two_threads_90_to_10(benchmark: Any, n: int) -> None:
    require.linux()
    here, linux = benchmark.pedantic(two_threads, args=(MapType.HASH, 16, 8, n), rounds=1)
    benchmark.extra_info.update(ns=round(here, 2), linux_ns=round(linux, 2), ratio=round(here / linux, 3))
