"""How long the verifier takes over the objects that ship with pyebpf, and Linux over the same."""

import time
from collections.abc import Callable
from typing import Any

from pyebpf.bench import data
from pyebpf.bench.result import Result, compare
from pyebpf.errors import Error
from pyebpf.loader import CollectionSpec
from pyebpf.objects.collection import Collection


def timer(spec: CollectionSpec, name: str, backend: str, seen: dict[str, Any]) -> Callable[[], float]:
    """ns of one load of that program: verification and compilation, without reading the object or creating maps."""

    def measure() -> float:
        with Collection.load(spec, programs=(), backend=backend) as coll:
            start = time.perf_counter_ns()
            with Collection.load(spec, programs=(name,), maps=dict(coll.maps), backend=backend) as loaded:
                elapsed = time.perf_counter_ns() - start
                seen["processed"] = loaded.programs[name].info.verified_insns
        return float(elapsed)

    measure()
    return measure


def run(*, quick: bool = False) -> list[Result]:
    """Every program; ratio to Linux where Linux may be asked."""
    results = []
    for path in data.objects():
        spec = CollectionSpec.load(path)
        for name, program in spec.programs.items():
            results += _one(f"{path.name}: {name}, {len(program.insns) // 8} insns", spec, name, quick)
    return results


def _one(case: str, spec: CollectionSpec, name: str, quick: bool) -> list[Result]:
    timers, seen = {}, dict[str, dict[str, Any]]()
    for engine, backend in (("linux", "kernel"), ("pyebpf", "user")):
        seen[engine] = {}
        try:
            timers[engine] = timer(spec, name, backend, seen[engine])
        except (OSError, Error):
            if engine != "linux":
                raise
    found = []
    for r in compare(case, timers, 3 if quick else 11, "linux"):
        processed = int(seen[r.engine]["processed"])
        extra = {"processed": f"{processed:,}", "ns each": f"{r.ns / max(processed, 1):.0f}"}
        found.append(Result(r.case, r.engine, r.ns, r.ratio, extra))
    return found
