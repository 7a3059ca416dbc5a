"""The stubs of the extension modules say what the modules have, and ship with the package."""

import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

ALLOWED = r"""
# Cython's own
pyebpf\._core\.__(reduce_cython|setstate_cython|test)__
# the binding's own: nobody outside holds one
pyebpf\._core\.(HeldBuffer|SpareWindow)
# a cdef class has no signature of __cinit__ to compare with
pyebpf\._core\.Native(Capture|Map|Prog)\.__init__
# a buffer in C; Python sees __buffer__ from 3.12 on
pyebpf\._core\.WindowPart\.__buffer__
# pybind11's metaclass
pyebpf\._baseline\.Arena
"""
NOT_COMPARED = "is a disjoint base at runtime, but isn't marked with @disjoint_base in the stub"
"""Newer than the oldest typing_extensions that may be there."""


def complaints(module: str, tmp_path: pathlib.Path) -> list[str]:
    """What mypy's stubtest says, but for ALLOWED and NOT_COMPARED."""
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    options = ["--concise", "--allowlist", str(allowed), "--ignore-unused-allowlist"]
    out = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", module, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode in (0, 1), out.stderr
    lines = (out.stdout + out.stderr).splitlines()
    return [line for line in lines if line.strip() and NOT_COMPARED not in line]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["pyebpf._core", "pyebpf._baseline"])
def test_stub_says_what_the_module_has(module: str, tmp_path: pathlib.Path) -> None:
    assert complaints(module, tmp_path) == []


@pytest.mark.slow
def test_a_name_that_the_module_lacks_is_noticed(tmp_path: pathlib.Path) -> None:
    """The comparison above can fail."""
    package = tmp_path / "lacking"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text("def absent() -> int: ...\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "MYPYPATH": str(tmp_path)}
    command = [sys.executable, "-m", "mypy.stubtest", "lacking", "--concise"]
    out = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert out.returncode == 1
    assert "lacking.absent is not present at runtime" in out.stdout


def test_types_ship_with_the_package() -> None:
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {"py.typed", "*.pyi"} <= set(package_data["*"])
    package = ROOT / "pyebpf"
    assert (package / "py.typed").exists()
    assert (package / "_core.pyi").exists()
    assert (package / "_baseline.pyi").exists()
