"""The C stress programs, short, each under both sanitizers; `make test-sanitize` runs them longer."""

import pathlib
import shutil

import pytest

from tests.maps.c import run as stress

QUICK = (("owned", "thread", "dense"), ("spare", "address", "plain"))


def cases() -> list[object]:
    """Every program in every variant under TSan, and once under ASan; most are slow, for their compilation."""
    found: list[object] = []
    for program in stress.programs():
        wanted = [("thread", variant) for variant in stress.VARIANTS] + [("address", "plain")]
        for sanitizer, variant in wanted:
            marks = () if (program, sanitizer, variant) in QUICK else (pytest.mark.slow,)
            found.append(pytest.param(program, sanitizer, variant, marks=marks))
    return found


@pytest.mark.nosan  # builds its own, with sanitizers of its own
@pytest.mark.parametrize(("program", "sanitizer", "variant"), cases())
def test_stress(program: str, sanitizer: str, variant: str, tmp_path: pathlib.Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    assert "operations" in stress.run(stress.build(program, sanitizer, tmp_path, variant=variant), 0.5)
