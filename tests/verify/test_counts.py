"""Processed instructions of the shipped dissectors are Linux's, as its bpf_prog_info gives them."""

import pathlib

import pytest

import pyebpf
from tests import require

OBJECTS = sorted(pathlib.Path(pyebpf.__file__).parent.glob("data/bpf/*.o"))


@pytest.mark.parametrize("path", OBJECTS, ids=[p.name for p in OBJECTS])
def test_processed_instructions_are_linuxs(path: pathlib.Path) -> None:
    require.linux()
    with pyebpf.Collection.load(str(path), backend="kernel") as kernel, pyebpf.Collection.load(str(path)) as ours:
        for name, program in kernel.programs.items():
            assert ours.programs[name].info.verified_insns == program.info.verified_insns, name
