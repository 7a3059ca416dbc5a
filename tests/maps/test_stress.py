"""The C stress programs, short, each under both sanitizers; `make test-sanitize` runs them longer."""

import pathlib
import shutil

import pytest

from tests.maps.c import run as stress


@pytest.mark.nosan  # builds its own, with sanitizers of its own
@pytest.mark.parametrize("sanitizer", ["thread", pytest.param("address", marks=pytest.mark.slow)])
@pytest.mark.parametrize("program", stress.programs())
def test_stress(program: str, sanitizer: str, tmp_path: pathlib.Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    assert "operations" in stress.run(stress.build(program, sanitizer, tmp_path), 0.5)
