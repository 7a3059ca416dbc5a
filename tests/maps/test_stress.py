"""The C stress programs, short, each under both sanitizers; `make test-sanitize` runs them longer."""

import pathlib
import shutil

import pytest

from tests.maps.c import run as stress


def cases() -> list[object]:
    """Every program under both sanitizers; all but one of them slow, mostly for their compilation."""
    found: list[object] = []
    for program in stress.programs():
        for sanitizer in ("thread", "address"):
            slow = () if (program, sanitizer) == ("owned", "thread") else (pytest.mark.slow,)
            found.append(pytest.param(program, sanitizer, marks=slow))
    return found


@pytest.mark.nosan  # builds its own, with sanitizers of its own
@pytest.mark.parametrize(("program", "sanitizer"), cases())
def test_stress(program: str, sanitizer: str, tmp_path: pathlib.Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    assert "operations" in stress.run(stress.build(program, sanitizer, tmp_path), 0.5)
