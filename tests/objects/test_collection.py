"""What a small object describes."""

import numpy as np
import pytest

import pyebpf
from pyebpf.spec import kinds
from pyebpf.spec.kinds import AttachType, MapType, ProgType
from tests.objects import build

COMPILERS = pytest.mark.parametrize("compile", [build.clang, build.zig], ids=["clang", "zig"])


@COMPILERS
def test_maps_programs_and_variables_have_the_source_s_names(compile) -> None:
    spec = pyebpf.CollectionSpec.load(compile("count"))
    assert list(spec.programs) == ["count"]
    assert list(spec.maps) == ["counts", ".rodata", ".bss"]
    assert list(spec.variables) == ["limit", "seen"]
    assert spec.license == "GPL"


@COMPILERS
def test_a_program_knows_its_type_functions_and_lines(compile) -> None:
    prog = pyebpf.CollectionSpec.load(compile("count")).programs.count
    assert (prog.type, prog.attach_type, prog.section) == (ProgType.XDP, AttachType.XDP, "xdp")
    assert prog.maps == ("counts", ".rodata", ".bss")
    assert [(f.insn_idx, f.name) for f in prog.funcs()] == [(0, "count")]
    lines = prog.lines()
    assert lines[0].insn_idx == 0
    assert any(line.text.strip() == "seen++;" for line in lines)


@COMPILERS
def test_a_map_has_sizes_and_types(compile) -> None:
    counts = pyebpf.CollectionSpec.load(compile("count")).maps.counts
    assert (counts.type, counts.key_size, counts.value_size, counts.max_entries) == (MapType.HASH, 4, 8, 1024)
    assert (counts.key_dtype, counts.value_dtype) == (np.dtype("<u4"), np.dtype("<u8"))


@COMPILERS
def test_variables_have_values_types_and_places(compile) -> None:
    spec = pyebpf.CollectionSpec.load(compile("count"))
    limit, seen = spec.variables["limit"], spec.variables["seen"]
    assert (limit.map, limit.offset, limit.size, limit.initial, limit.read_only) == (".rodata", 0, 4, b"\3\0\0\0", True)
    assert (seen.map, seen.offset, seen.size, seen.read_only) == (".bss", 0, 8, False)
    assert limit.c_type == "const volatile __u32 limit"
    assert limit.dtype == np.dtype("<u4")
    assert spec.maps[".rodata"].flags == kinds.BPF_F_RDONLY_PROG | kinds.BPF_F_MMAPABLE
    assert spec.maps[".rodata"].freeze


def test_load_takes_a_path_bytes_or_a_file(tmp_path) -> None:
    raw = build.zig("count")
    path = tmp_path / "my-prog.bpf.o"
    path.write_bytes(raw)
    by_path = pyebpf.CollectionSpec.load(path)
    assert by_path.name == "my-prog"
    assert by_path.maps[".rodata"].kernel_name == "my_prog.rodata"
    by_bytes = pyebpf.CollectionSpec.load(raw, name="my-prog")
    with path.open("rb") as file:
        assert pyebpf.CollectionSpec.load(file, name="my-prog") == by_bytes == by_path
