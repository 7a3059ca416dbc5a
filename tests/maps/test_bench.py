"""`pyebpf bench maps` measures: every case has a figure for both engines."""

import pytest

from pyebpf.bench import maps

CASES = [("array", "lookup"), ("array", "update"), *(("hash", op) for op in maps.OPERATIONS)]


def test_the_benchmark_programs_load_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "cases", lambda quick: [maps.Case(kind, 4, 8, 6, op) for kind, op in CASES])
    results = maps.run(quick=True)
    assert {(r.case.split(",")[0], r.engine) for r in results} >= {
        (f"{kind} {op}", engine) for kind, op in CASES for engine in ("jit", "interp")
    }
    assert all(r.ns > 0 for r in results)
