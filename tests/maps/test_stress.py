"""The C stress programs, short, each under both sanitizers; `make test-sanitize` runs them longer."""

import pathlib
import shutil

import pytest

from tests.maps.c import run as stress


def cases() -> list[object]:
    """Every program under both sanitizers, in every variant; all but two of them slow, mostly for their compilation."""
    found: list[object] = []
    for program in stress.programs():
        for sanitizer in ("thread", "address"):
            for variant in stress.VARIANTS:
                quick = (program, sanitizer, variant) in (("owned", "thread", "dense"), ("spare", "address", "plain"))
                marks = () if quick else (pytest.mark.slow,)
                found.append(pytest.param(program, sanitizer, variant, marks=marks))
    return found


@pytest.mark.nosan  # builds its own, with sanitizers of its own
@pytest.mark.parametrize(("program", "sanitizer", "variant"), cases())
def test_stress(program: str, sanitizer: str, variant: str, tmp_path: pathlib.Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    assert "operations" in stress.run(stress.build(program, sanitizer, tmp_path, variant=variant), 0.5)
