"""MAP_CREATE's checks, against the running kernel."""

import itertools
import pathlib

import pytest

from pyebpf.native import NativeMap
from pyebpf.spec import kinds
from pyebpf.spec.kinds import MapType
from tests import require
from tests.maps.both import Linux, Ours, outcome

TYPES = (
    MapType.HASH,
    MapType.ARRAY,
    MapType.PROG_ARRAY,
    MapType.PERCPU_HASH,
    MapType.PERCPU_ARRAY,
    MapType.STACK_TRACE,
)
FLAGS = (
    *(1 << bit for bit in range(20)),
    kinds.BPF_F_RDONLY_PROG | kinds.BPF_F_WRONLY_PROG,
    kinds.BPF_F_RDONLY | kinds.BPF_F_WRONLY,
    kinds.BPF_F_NO_PREALLOC | kinds.BPF_F_NO_COMMON_LRU,
)
BUILD_ID = kinds.BPF_F_STACK_BUILD_ID  # not here: docs/maps.md


def verdict(make: type[Ours] | type[Linux], *args: int) -> str:
    """The errno name, or "created"."""
    result = outcome(lambda: make(*args))
    return result if isinstance(result, str) else "created"


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_sizes_are_judged_as_linux_does(kind: MapType) -> None:
    require.linux()
    sizes = itertools.product((0, 1, 4, 8, 512), (0, 1, 4, 8, 12, 1016, 1024, 32768, 32769), (0, 1, 3))
    for key_size, value_size, max_entries in sizes:
        args = kind, key_size, value_size, max_entries
        assert verdict(Ours, *args) == verdict(Linux, *args), args


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_flags_are_judged_as_linux_does(kind: MapType) -> None:
    require.linux()
    value_size = 4 if kind == MapType.PROG_ARRAY else 8
    for flags in FLAGS:
        if kind == MapType.STACK_TRACE and flags == BUILD_ID:
            continue
        args = kind, 4, value_size, 3, flags
        assert verdict(Ours, *args) == verdict(Linux, *args), (kind, hex(flags))


@pytest.mark.parametrize(
    "args",
    [
        (MapType.HASH, 4, (4 << 20) - 52, 1),
        (MapType.HASH, 4, (4 << 20) - 53, 1),
        (MapType.HASH, (4 << 20) - 53, 4, 1),
        (MapType.HASH, 4, 8, (1 << 32) - 1),
        (MapType.HASH, 4, 8, (1 << 27) + 1),
        (MapType.PERCPU_HASH, 4, 32761, 1),
        (MapType.ARRAY, 4, 1 << 31, 1),
        (MapType.STACK_TRACE, 4, 8, (1 << 32) - 1),
    ],
)
def test_limits_are_linuxs(args: tuple[int, ...]) -> None:
    require.linux()
    assert verdict(Ours, *args) == verdict(Linux, *args)


def test_a_type_without_an_implementation_is_einval() -> None:
    assert verdict(Ours, 999, 4, 4, 1) == "EINVAL"


def test_a_large_map_takes_no_memory_until_it_is_used() -> None:
    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    maps = [NativeMap(MapType.HASH, 16, 8, 10_000_000), NativeMap(MapType.ARRAY, 4, 64, 10_000_000)]
    assert resident() - before < 4 << 20
    assert len(maps[0]) == 0
