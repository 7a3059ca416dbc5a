"""Objects loaded here and by libbpf: the same instructions, maps, BTF, function and line records."""

import struct

import numpy as np
import pytest

import pyebpf
from pyebpf.isa import table
from pyebpf.relo.functions import INSN, LD_IMM64
from pyebpf.spec.collection import ProgramSpec
from tests import linux, require
from tests.objects import build, libbpf

MATRIX = [(c, cpu) for c in (build.clang, build.zig) for cpu in ("v1", "v2", "v3", "v4")]
IDS = [f"{c.__name__.strip('_')}-{cpu}" for c, cpu in MATRIX]
COMPILED = pytest.mark.parametrize(("compile", "cpu"), MATRIX, ids=IDS)
SOURCES = pytest.mark.parametrize("source", ["count", "many", "calls"])


def with_fds(prog: ProgramSpec, fds: dict[str, int]) -> bytes:
    """The program's instructions with map fds in place of its own numbers, as libbpf writes them."""
    insns = np.frombuffer(prog.insns, INSN).copy()
    for at in np.flatnonzero(insns["code"] == LD_IMM64):
        source = int(insns["regs"][at]) >> 4
        if source in (table.PSEUDO_MAP_IDX, table.PSEUDO_MAP_IDX_VALUE):
            insns["imm"][at] = fds[prog.maps[insns["imm"][at]]]
            source += table.PSEUDO_MAP_FD - table.PSEUDO_MAP_IDX
        insns["regs"][at] = int(insns["regs"][at]) & 15 | source << 4
    return insns.tobytes()


def section_name(name: str, spec: pyebpf.CollectionSpec) -> str:
    """Our key of a map by libbpf's name of it."""
    return next((m.name for m in spec.maps.values() if m.is_data and m.kernel_name == name), name)


@COMPILED
@SOURCES
def test_instructions_are_libbpf_s(compile, cpu, source) -> None:
    raw = compile(source, cpu)
    spec = pyebpf.CollectionSpec.load(raw, name=source)
    with libbpf.loaded(raw, source) as oracle:
        fds = {section_name(m.name, spec): m.fd for m in oracle.maps}
        assert [p.name for p in oracle.programs] == list(spec.programs)
        for theirs in oracle.programs:
            ours = spec.programs[theirs.name]
            assert ours.autoload == theirs.autoload
            if theirs.autoload:
                assert with_fds(ours, fds) == theirs.insns, theirs.name


@COMPILED
@SOURCES
def test_maps_are_libbpf_s(compile, cpu, source) -> None:
    raw = compile(source, cpu)
    spec = pyebpf.CollectionSpec.load(raw, name=source)
    with libbpf.loaded(raw, source) as oracle:
        theirs = [
            (m.kernel_name, m.type, m.key_size, m.value_size, m.max_entries, m.flags, m.key_type_id, m.value_type_id)
            for m in oracle.maps
        ]
    ours = [
        (m.kernel_name, m.type, m.key_size, m.value_size, m.max_entries, m.flags, *m.create_type_ids)
        for m in spec.maps.values()
    ]
    assert ours == theirs


@COMPILED
@SOURCES
def test_btf_is_libbpf_s(compile, cpu, source) -> None:
    raw = compile(source, cpu)
    with libbpf.loaded(raw, source) as oracle:
        assert pyebpf.CollectionSpec.load(raw, name=source).btf.raw == oracle.btf


@COMPILED
@SOURCES
def test_program_kinds_are_libbpf_s(compile, cpu, source) -> None:
    raw = compile(source, cpu)
    spec = pyebpf.CollectionSpec.load(raw, name=source)
    with libbpf.loaded(raw, source, load=False) as oracle:
        theirs = [(p.section, p.type, p.attach_type, p.flags) for p in oracle.programs]
    assert [(p.section, p.type, p.attach_type, p.prog_flags) for p in spec.programs.values()] == theirs


@COMPILED
def test_function_and_line_records_are_those_linux_keeps(compile, cpu) -> None:
    raw = compile("calls", cpu)
    spec = pyebpf.CollectionSpec.load(raw, name="calls")
    with libbpf.loaded(raw, "calls") as oracle:
        for theirs in oracle.programs:
            ours = spec.programs[theirs.name]
            funcs, lines = libbpf.prog_records(theirs.fd)
            assert [at for at, _ in struct.iter_unpack("<II", funcs)] == [at for at, _ in ours.functions]
            assert ours.func_info.tobytes() == funcs
            assert ours.line_info.tobytes() == lines


@COMPILED
def test_functions_have_the_types_linux_keeps(compile, cpu) -> None:
    """Linux moves instructions of this object (it inlines lookups and loops), but not types."""
    raw = compile("many", cpu)
    spec = pyebpf.CollectionSpec.load(raw, name="many")
    with libbpf.loaded(raw, "many") as oracle:
        for theirs in oracle.programs:
            if theirs.fd >= 0:
                funcs, _ = libbpf.prog_records(theirs.fd)
                ours = spec.programs[theirs.name].func_info["type_id"].tolist()
                assert ours == [type_id for _, type_id in struct.iter_unpack("<II", funcs)]


def test_a_bare_object_is_named_as_libbpf_names_it() -> None:
    require.linux()
    raw = build.zig("many")
    for name in ("", "x", "exactly_8", "a-long-object-name-with-dashes"):
        spec = pyebpf.CollectionSpec.load(raw, name=name)
        if name:
            with libbpf.loaded(raw, name) as oracle:
                assert [m.kernel_name for m in oracle.maps] == [m.kernel_name for m in spec.maps.values()]
        else:
            assert spec.maps[".rodata"].kernel_name == ".rodata"


@COMPILED
@pytest.mark.parametrize("source", ["externs", "kconfig"])
def test_btf_of_externs_is_libbpf_s_and_linux_takes_it(compile, cpu, source) -> None:
    raw = compile(source, cpu, "-g", "-Wno-unused")
    btf = pyebpf.CollectionSpec.load(raw, name=source).btf
    with libbpf.loaded(raw, source, load=False) as oracle:
        assert btf.raw == oracle.btf
    linux.btf_load(btf.raw).close()


@COMPILED
def test_the_map_of_configuration_values_is_libbpf_s(compile, cpu) -> None:
    raw = compile("kconfig", cpu, "-g", "-Wno-unused")
    spec = pyebpf.CollectionSpec.load(raw, name="kconfig")
    with libbpf.loaded(raw, "kconfig", load=False) as oracle:
        (theirs,) = oracle.maps
    (ours,) = spec.maps.values()
    assert (ours.kernel_name, ours.value_size, ours.flags) == ("kconfig.kconfig", theirs.value_size, theirs.flags)
    assert theirs.value_type_id == ours.value_type_id
    assert spec.programs.uses.maps == (".kconfig",)
    assert not spec.programs.plain.problem
