"""The shipped objects on Linux: accepted, within a bound of work, and right about frames made by hand."""

import pathlib
from collections.abc import Iterator

import pytest

import pyebpf
from pyebpf import CollectionSpec
from tests import linux, require
from tests.packets.frames import FRAMES
from tests.packets.keys import Keys

OBJECTS = sorted((pathlib.Path(pyebpf.__file__).parent / "data" / "bpf").glob("*.o"))
BUILDS = ("", ".v4", ".zig")
MOST_PROCESSED = 300_000


def load(path: pathlib.Path) -> linux.Prog:
    """The object's only program, its maps created."""
    spec = CollectionSpec.load(path)
    (program,) = spec.programs.values()
    maps = []
    for name in program.maps:
        m = spec.maps[name]
        maps.append(linux.create_map(m.type, m.key_size, m.value_size, m.max_entries, m.flags))
    try:
        return linux.prog_load(program.insns, program.type, fd_array=maps, license=program.license)
    finally:
        for m in maps:
            m.close()


def test_three_builds_of_three_programs_ship() -> None:
    names = {p.name for p in OBJECTS}
    assert names == {n + b + ".o" for n in ("flow_dissector", "xdp_flow", "sock_flow") for b in BUILDS}


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: p.name)
def test_linux_accepts_the_object_in_bounded_work(path: pathlib.Path) -> None:
    require.linux()
    with load(path) as prog:
        assert prog.info().verified_insns < MOST_PROCESSED


@pytest.fixture(scope="module", params=BUILDS, ids=("v3", "v4", "zig"))
def dissector(request: pytest.FixtureRequest) -> Iterator[linux.Prog]:
    require.linux()
    with load(next(p for p in OBJECTS if p.name == f"flow_dissector{request.param}.o")) as prog:
        yield prog


@pytest.mark.parametrize("name", FRAMES)
def test_linux_reads_the_frame_as_it_was_made(dissector: linux.Prog, name: str) -> None:
    frame = FRAMES[name]
    assert Keys.unpack(dissector.test_run(frame.raw).data_out).facts() == frame.facts
