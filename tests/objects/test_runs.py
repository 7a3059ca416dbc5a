"""Objects by either compiler and for every instruction set do here what they do in Linux: results, maps, variables."""

import functools
import struct

import pytest

import pyebpf
from pyebpf.spec.kinds import AttachType, MapType, ProgType
from tests import require
from tests.objects import build

FRAME = bytes(12) + b"\x08\0" + bytes(60)
SOURCES = ("count", "many", "calls", "legacy", "sections", "static_maps", "externs", "kconfig")
READABLE = (MapType.HASH, MapType.ARRAY)
PACKETS = (ProgType.XDP, ProgType.SOCKET_FILTER, ProgType.SCHED_CLS)


@functools.cache
def outcome(compiler: str, source: str, cpu: str, **backend: str) -> dict[str, object]:
    """Everything a run of each program leaves behind."""
    raw = getattr(build, compiler)(source, cpu, "-g", "-Wno-unused")
    spec = pyebpf.CollectionSpec.load(raw)
    names = [
        p.name
        for p in spec.programs.values()
        if not p.problem and p.type in PACKETS and p.attach_type in (0, AttachType.XDP)
    ]
    assert names
    out: dict[str, object] = {}
    with pyebpf.Collection.load(spec, programs=names, **backend) as coll:
        for name in names:
            out[name] = coll.programs[name].test_run(FRAME).retval
        for name in spec.variables:
            out[f"variable {name}"] = str(coll.variables[name])
        for m in coll.maps.values():
            if m.type in READABLE:
                out[f"map {m.name}"] = sorted((str(k), str(v)) for k, v in m.items())
    return out


@pytest.mark.parametrize("engine", ["interp", "jit"])
@pytest.mark.parametrize("cpu", ["v1", "v2", "v3", "v4"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("compiler", ["clang", "zig"])
def test_an_object_does_what_it_does_in_linux(compiler, source, cpu, engine) -> None:
    require.linux()
    assert outcome(compiler, source, cpu, engine=engine) == outcome(compiler, source, cpu, backend="kernel")


@pytest.mark.parametrize("engine", ["interp", "jit"])
def test_a_read_only_variable_can_be_set_before_loading(engine) -> None:
    raw = build.zig("count")
    kept = {}
    for limit in (0x7FF, 0x800, 0x801):
        with pyebpf.Collection.load(raw, variables={"limit": limit}, engine=engine) as coll:
            kept[limit] = coll.programs.count(FRAME)
            assert coll.variables["limit"] == limit
    assert kept == {0x7FF: 2, 0x800: 1, 0x801: 1}


@pytest.mark.parametrize("engine", ["interp", "jit"])
def test_variables_are_seen_by_programs_and_from_python(engine) -> None:
    with pyebpf.Collection.load(build.zig("count"), engine=engine) as coll:
        for _ in range(5):
            coll.programs.count(FRAME)
        assert coll.variables["seen"] == 5
        coll.variables["seen"] = 1 << 40
        coll.programs.count(FRAME)
        assert coll.variables["seen"] == (1 << 40) + 1
        assert coll.maps["counts"].lookup(struct.pack("<I", 0x800)) == 6


def test_a_program_whose_needs_are_not_there_is_refused_when_it_is_loaded() -> None:
    spec = pyebpf.CollectionSpec.load(build.zig("externs", "v3", "-g", "-Wno-unused"))
    with pytest.raises(pyebpf.ObjectError, match="needs the configuration value 'LINUX_KERNEL_VERSION'"):
        pyebpf.Collection.load(spec, programs=["config"])
    pyebpf.Collection.load(spec, programs=["plain"]).close()
