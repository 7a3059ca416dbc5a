"""Collection as its user sees it: an object compiled from C, on both back ends."""

import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyebpf
from pyebpf import Collection, CollectionSpec, Map
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
