"""Collection as its user sees it: an object compiled from C, on both back ends."""

import errno
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyebpf
from pyebpf import Collection, CollectionSpec, Map
from pyebpf.spec.collection import PIN_BY_NAME, CollectionContents, MapSpec, Named
from pyebpf.spec.kinds import MapType
from tests import require
from tests.objects import build

IPV4 = bytes(12) + b"\x08\x00" + bytes(50)
NONE = bytes(12) + b"\0\0" + bytes(50)
XDP_DROP, XDP_PASS = 1, 2


@pytest.fixture(params=["user", "kernel"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "kernel":
        require.linux()
    return str(request.param)


@pytest.fixture(scope="module")
def count() -> bytes:
    return build.zig("count")


def errno_of(call: Any, *args: Any, **named: Any) -> int:
    with pytest.raises(pyebpf.Error) as caught:
        call(*args, **named)
    return caught.value.errno or 0


def test_programs_maps_and_variables(backend: str, count: bytes) -> None:
    with Collection.load(count, backend=backend) as coll:
        prog, counts = coll.programs["count"], coll.maps["counts"]
        assert prog(IPV4) == XDP_PASS
        assert prog(IPV4) == XDP_PASS
        assert prog(NONE) == XDP_DROP
        assert dict(counts.items()) == {0x800: 2, 0: 1}
        assert coll.variables["seen"] == 3
        coll.variables["seen"] = 10
        prog(IPV4)
        assert coll.variables["seen"] == 11
        assert coll.variables["limit"] == 3
        assert coll.programs.count is prog
        assert set(coll.variables) == {"limit", "seen"}


def test_read_only_variables_are_set_before_loading(backend: str, count: bytes) -> None:
    with Collection.load(count, variables={"limit": 0x800, "seen": 5}, backend=backend) as coll:
        assert coll.programs["count"](IPV4) == XDP_DROP
        assert coll.variables["seen"] == 6
        assert errno_of(coll.variables.__setitem__, "limit", 1) == errno.EPERM
        assert coll.variables["limit"] == 0x800
    with pytest.raises(KeyError, match="nothing"):
        Collection.load(count, variables={"nothing": 1}, backend=backend)
    assert errno_of(Collection.load, count, variables={"limit": 1 << 32}, backend=backend) == errno.EINVAL


def test_sources(count: bytes, tmp_path: Path) -> None:
    path = tmp_path / "count.o"
    path.write_bytes(count)
    spec = CollectionSpec.load(path)
    for source in (path, str(path), count, io.BytesIO(count), spec):
        with Collection.load(source) as coll:
            assert coll.programs["count"](IPV4) == XDP_PASS
    with pyebpf.load(path) as coll:
        assert coll.name == "count"


def test_a_map_may_be_given(backend: str, count: bytes) -> None:
    with Map.create("hash", "u4", "u8", 1024, backend=backend) as shared:
        with Collection.load(count, maps={"counts": shared}, backend=backend) as one:
            one.programs["count"](IPV4)
        with Collection.load(count, maps={"counts": shared}, backend=backend) as two:
            two.programs["count"](IPV4)
            assert shared[0x800] == 2
    with Map.create("hash", "u4", "u4", 1024, backend=backend) as wrong:
        assert errno_of(Collection.load, count, maps={"counts": wrong}, backend=backend) == errno.EINVAL


def pinned_by_name(raw: bytes) -> CollectionContents:
    """The object with its hash map marked `__uint(pinning, LIBBPF_PIN_BY_NAME)`."""
    spec = CollectionSpec.load(raw, name="count")
    maps = {n: replace(m, pinning=PIN_BY_NAME) if n == "counts" else m for n, m in spec.maps.items()}
    return replace(spec, maps=Named(maps))


def test_maps_pinned_by_name_are_shared(count: bytes, tmp_path: Path) -> None:
    spec = pinned_by_name(count)
    assert errno_of(Collection.load, spec) == errno.EINVAL
    with Collection.load(spec, pin_path=tmp_path) as one:
        one.programs["count"](IPV4)
    with Collection.load(spec, pin_path=tmp_path) as two:
        two.programs["count"](IPV4)
        assert two.maps["counts"][0x800] == 2
    pyebpf.unpin(tmp_path / "counts")


def test_prog_array_is_filled_as_the_object_says(backend: str, count: bytes) -> None:
    spec = CollectionSpec.load(count, name="count")
    jumps = MapSpec("jumps", MapType.PROG_ARRAY, 4, 4, 4, slots=((1, "count"), (3, "not loaded")))
    with Collection.load(replace(spec, maps=Named({**spec.maps, "jumps": jumps})), backend=backend) as coll:
        filled = coll.maps["jumps"]
        assert int.from_bytes(filled[1], "little") == coll.programs["count"].id
        assert 0 not in filled
        assert 3 not in filled


def test_nothing_is_left_after_closing_or_failing(count: bytes) -> None:
    from pyebpf.runtime.state import runtime

    rt = runtime()

    def alive() -> list[int]:
        return [len(space.objects()) for space in (rt.maps, rt.progs, rt.btfs)] + [len(rt.fds)]

    before = alive()
    Collection.load(count).close()
    assert alive() == before
    with pytest.raises(KeyError):
        Collection.load(count, programs=["nobody"])
    assert alive() == before


def test_engines_agree(count: bytes) -> None:
    rows = np.zeros((200, 64), np.uint8)
    rows[:, 13] = np.arange(200)
    results = []
    for engine in ("interp", "jit"):
        with Collection.load(count, engine=engine) as coll:
            verdicts = coll.programs["count"].run_batch(rows).tolist()
            results.append((verdicts, sorted(coll.maps["counts"].items()), coll.variables["seen"]))
    assert results[0] == results[1]


def test_check(backend: str, count: bytes) -> None:
    (verdict,) = pyebpf.check(count, backend=backend)
    assert (verdict.name, verdict.accepted, verdict.insn) == ("count", True, -1)
    assert verdict.processed > 20
    assert verdict.time_ns > 0


def test_objects_that_are_none() -> None:
    with pytest.raises(pyebpf.ObjectError):
        Collection.load(b"not an object")
    with pytest.raises(FileNotFoundError):
        Collection.load("/nowhere.o")
