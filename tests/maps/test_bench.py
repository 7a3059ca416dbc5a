"""`pyebpf bench maps` measures: every case has a figure for both engines."""

import pytest

from pyebpf.bench import maps


def test_the_benchmark_programs_load_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "cases", lambda quick: [maps.Case(t, 4, 8, 6, op) for t, op in CASES])
    results = maps.run(quick=True)
    assert {(r.case.split(",")[0], r.engine) for r in results} >= {
        (f"{kind} {op}", engine) for kind, op in CASES for engine in ("jit", "interp")
    }
    assert all(r.ns > 0 for r in results)


CASES = [("array", "lookup"), ("array", "update"), *(("hash", op) for op in maps.OPERATIONS)]
    (kind, op) for kind in ("hash", "array") for op in maps.OPERATIONS if kind == "hash" or op != "delete + insert"
]
