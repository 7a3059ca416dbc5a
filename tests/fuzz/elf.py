"""Fuzzes CollectionSpec.load and what a spec answers: `python -m tests.fuzz.elf --seconds N --seed S`."""

import sys

import pyebpf
from tests.fuzz import driver
from tests.objects import build

ERRORS = (pyebpf.ObjectError,)
SOURCES = ("count", "many", "calls", "legacy", "externs", "static_maps")


def seeds() -> list[bytes]:
    """Objects with and without debug information."""
    quiet = ("-Wno-unused",)
    out = [build.zig(name, "v3", "-g", *quiet) for name in SOURCES]
    return out + [build.zig(name, "v3", "-g0", *quiet) for name in ("legacy", "calls")]


def run(data: bytes) -> None:
    """Load an object and ask everything of what it gave."""
    spec = pyebpf.CollectionSpec.load(data, name="fuzz")
    for prog in spec.programs.values():
        try:
            prog.require_loadable()
        except pyebpf.ObjectError:
            continue
        prog.funcs()
        prog.lines()
        assert len(prog.insns) % 8 == 0
    for m in spec.maps.values():
        assert m.key_dtype is None or m.key_dtype.itemsize >= 0
        assert m.value_dtype is None or m.value_dtype.itemsize >= 0
    for variable in spec.variables.values():
        assert isinstance(variable.c_type, str)
        assert variable.dtype is None or variable.dtype.itemsize >= 0
    hash(spec.btf)


if __name__ == "__main__":
    sys.exit(driver.main("elf", seeds(), run, ERRORS))
