"""MAP_CREATE: every map type, its sizes and flags around what is allowed, give Linux's errno."""

import pytest

from pyebpf import CollectionSpec
from pyebpf.spec.kinds import Cmd, MapType
from tests.objects import build
from tests.runtime.duo import Side, create, same

BASE: dict[MapType, tuple[int, int, int, int]] = {
    MapType.HASH: (4, 8, 4, 0),
    MapType.ARRAY: (4, 8, 4, 0),
    MapType.PROG_ARRAY: (4, 4, 4, 0),
    MapType.PERF_EVENT_ARRAY: (4, 4, 4, 0),
    MapType.PERCPU_HASH: (4, 8, 4, 0),
    MapType.PERCPU_ARRAY: (4, 8, 4, 0),
    MapType.STACK_TRACE: (4, 80, 4, 0),
    MapType.CGROUP_ARRAY: (4, 4, 4, 0),
    MapType.LRU_HASH: (4, 8, 4, 0),
    MapType.LRU_PERCPU_HASH: (4, 8, 4, 0),
    MapType.LPM_TRIE: (8, 8, 4, 1),
    MapType.ARRAY_OF_MAPS: (4, 4, 4, 0),
    MapType.HASH_OF_MAPS: (4, 4, 4, 0),
    MapType.DEVMAP: (4, 4, 4, 0),
    MapType.SOCKMAP: (4, 4, 4, 0),
    MapType.CPUMAP: (4, 4, 1, 0),
    MapType.XSKMAP: (4, 4, 4, 0),
    MapType.SOCKHASH: (4, 4, 4, 0),
    MapType.CGROUP_STORAGE: (8, 8, 0, 0),
    MapType.REUSEPORT_SOCKARRAY: (4, 4, 4, 0),
    MapType.PERCPU_CGROUP_STORAGE: (8, 8, 0, 0),
    MapType.QUEUE: (0, 8, 4, 0),
    MapType.STACK: (0, 8, 4, 0),
    MapType.SK_STORAGE: (4, 8, 0, 1),
    MapType.DEVMAP_HASH: (4, 4, 4, 0),
    MapType.RINGBUF: (0, 0, 4096, 0),
    MapType.INODE_STORAGE: (4, 8, 0, 1),
    MapType.TASK_STORAGE: (4, 8, 0, 1),
    MapType.BLOOM_FILTER: (0, 8, 4, 0),
    MapType.USER_RINGBUF: (0, 0, 4096, 0),
    MapType.CGRP_STORAGE: (4, 8, 0, 1),
    MapType.ARENA: (0, 0, 4, 1 << 10),
}
KEYS = (0, 1, 3, 4, 5, 8, 16, 17, 260, 261, 512, 513)
VALUES = (0, 1, 3, 4, 5, 7, 8, 12, 16, 1016, 1024, 32 << 10, (32 << 10) + 8)
ENTRIES = (0, 1, 2, 3, 4096, 5000, 8192)


@pytest.mark.parametrize("kind", BASE, ids=lambda kind: kind.name)
def test_sizes_and_flags(kind: MapType) -> None:
    key, value, entries, flags = BASE[kind]
    shapes = [(key, value, entries, flags)]
    shapes += [(k, value, entries, flags) for k in KEYS]
    shapes += [(key, v, entries, flags) for v in VALUES]
    shapes += [(key, value, e, flags) for e in ENTRIES if kind != MapType.CPUMAP or e <= 3]
    shapes += [(key, value, entries, flags ^ 1 << bit) for bit in range(32) if bit != 16]
    shapes += [(key, value, entries, flags | both) for both in (0x18, 0x180, 0x88, 0x110)]

    def script(side: Side) -> None:
        inner = create(side)
        for k, v, e, f in shapes:
            attr: dict[str, int | bytes] = {"key_size": k, "value_size": v, "max_entries": e, "map_flags": f}
            if kind in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS):
                attr["inner_map_fd"] = inner
            result, _ = side.call(Cmd.MAP_CREATE, map_type=kind, **attr)
            side.note(f"{kind.name} key {k} value {v} entries {e} flags {f:#x}", result)
            if result > 0:
                side.close(result)

    same(script)


def test_btf_types_of_every_kind() -> None:
    spec = CollectionSpec.load(build.zig("count"), name="count")
    assert spec.btf is not None
    raw, counts, rodata = spec.btf.raw, spec.maps["counts"], spec.maps[".rodata"]
    u32, u64, section = counts.key_type_id, counts.value_type_id, rodata.value_type_id

    def script(side: Side) -> None:
        btf, inner = side.fd(Cmd.BTF_LOAD, btf=side.mem(raw), btf_size=len(raw)), create(side)
        for kind, (key, value, entries, flags) in BASE.items():
            for key_type, value_type in ((u32, u64), (u32, u32), (0, u64), (0, u32), (0, section)):
                data = value_type == section
                got, _ = side.call(
                    Cmd.MAP_CREATE,
                    map_type=kind,
                    key_size=key,
                    value_size=rodata.value_size if data else value,
                    max_entries=1 if data else entries,
                    map_flags=flags,
                    inner_map_fd=inner if kind in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS) else 0,
                    btf_fd=btf,
                    btf_key_type_id=key_type,
                    btf_value_type_id=value_type,
                )
                side.note(f"{kind.name} {key_type} {value_type}", got)
                if got > 0:
                    side.close(got)

    same(script)


def test_types_that_do_not_exist() -> None:
    def script(side: Side) -> None:
        for kind in (0, 34, 35, 1000, 1 << 31):
            side.step(f"type {kind}", Cmd.MAP_CREATE, map_type=kind, key_size=4, value_size=4, max_entries=1)

    same(script)


def test_other_members() -> None:
    def script(side: Side) -> None:
        def attempt(label: str, **members: int | bytes) -> None:
            base: dict[str, int | bytes] = {"map_type": 1, "key_size": 4, "value_size": 8, "max_entries": 4}
            side.step(label, Cmd.MAP_CREATE, **{**base, **members})

        attempt("map_extra", map_extra=1)
        attempt("key type without value type", btf_key_type_id=1)
        attempt("btf fd that is none", btf_key_type_id=1, btf_value_type_id=1, btf_fd=12345)
        attempt("vmlinux type", btf_vmlinux_value_type_id=1)
        attempt("hash size", excl_prog_hash_size=32)
        attempt("node 0", numa_node=0, map_flags=4)
        attempt("node 99", numa_node=99, map_flags=4)
        attempt("unused node", numa_node=99)
        attempt("unused inner", inner_map_fd=99)
        for text in (b"abc", b"a.b_C9", b"a-b", b"a b", b"\xff", b"x" * 15, b"x" * 16, b"\0abc"):
            attempt(f"name {text!r}", map_name=text)

    same(script)


def test_inner_maps() -> None:
    def script(side: Side) -> None:
        inner = create(side)
        array = create(side, map_type=MapType.ARRAY)
        prog_array = create(side, map_type=MapType.PROG_ARRAY, value_size=4)
        for outer in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS):
            nested = 0
            for label, fd in (("hash", inner), ("array", array), ("prog array", prog_array), ("none", 99999)):
                got, _ = side.call(
                    Cmd.MAP_CREATE, map_type=outer, key_size=4, value_size=4, max_entries=2, inner_map_fd=fd
                )
                side.note(f"{outer.name} of {label}", got)
                nested = nested or got
            side.step(
                f"{outer.name} of maps", Cmd.MAP_CREATE, map_type=outer, key_size=4, value_size=4, max_entries=2,
                inner_map_fd=nested,
            )  # fmt: skip

    same(script)
