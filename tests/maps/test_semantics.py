"""Element commands, call by call the same as the running kernel's: values, errno, order where Linux has one."""

import random
import struct
from functools import partial

import pytest

from pyebpf.native import NativeMap
from pyebpf.spec.kinds import BPF_ANY, BPF_EXIST, BPF_F_LOCK, BPF_NOEXIST, MapType
from tests import require
from tests.maps.both import Linux, Ours, keys, outcome

FLAGS = (BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_NOEXIST | BPF_EXIST, BPF_F_LOCK, BPF_F_LOCK | BPF_EXIST, 8, 1 << 40)
WRITABLE = (MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PERCPU_ARRAY)


def u32(n: int) -> bytes:
    return struct.pack("<I", n)


def pair(kind: MapType, value_size: int = 8, max_entries: int = 4) -> tuple[Ours, Linux]:
    """The same map twice."""
    require.linux()
    return Ours(kind, 4, value_size, max_entries), Linux(kind, 4, value_size, max_entries)


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("present", [True, False])
def test_update_flags(kind: MapType, flags: int, present: bool) -> None:
    ours, linux = pair(kind)
    for m in (ours, linux):
        if present:
            m.update(u32(1), bytes(m.user_size))
    for key in (1, 2, 4, 1 << 31):
        seen = [outcome(partial(m.update, u32(key), b"\7" * m.user_size, flags)) for m in (ours, linux)]
        assert seen[0] == seen[1], (key, flags)
        seen = [outcome(partial(m.lookup, u32(key))) is None for m in (ours, linux)]
        assert seen[0] == seen[1], (key, flags)


@pytest.mark.parametrize("kind", (*WRITABLE, MapType.STACK_TRACE), ids=lambda kind: kind.name)
@pytest.mark.parametrize("flags", (0, 1, BPF_F_LOCK, 8, 1 << 33))
def test_lookup_and_take_flags(kind: MapType, flags: int) -> None:
    ours, linux = pair(kind)
    for key in (1, 9):
        for verb in ("lookup", "take"):
            seen = [outcome(partial(getattr(m, verb), u32(key), flags)) for m in (ours, linux)]
            seen = [None if isinstance(s, bytes) and not any(s) else s for s in seen]
            if kind == MapType.STACK_TRACE and verb == "take" and seen[1] == "ENOTSUPP":
                continue  # kernels before 6.18 have no such command
            assert seen[0] == seen[1], (verb, key, flags)


@pytest.mark.parametrize("kind", (*WRITABLE, MapType.STACK_TRACE, MapType.PROG_ARRAY), ids=lambda kind: kind.name)
def test_delete_of_what_is_there_and_what_is_not(kind: MapType) -> None:
    ours, linux = pair(kind, 4 if kind == MapType.PROG_ARRAY else 8)
    if kind in WRITABLE:
        for m in (ours, linux):
            m.update(u32(1), bytes(m.user_size))
    for key in (1, 1, 3, 4, 1 << 31):
        assert outcome(lambda k=key: ours.delete(u32(k))) == outcome(lambda k=key: linux.delete(u32(k))), key


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
def test_a_frozen_map_refuses_writes_and_a_second_freeze(kind: MapType) -> None:
    ours, linux = pair(kind)
    for m in (ours, linux):
        m.update(u32(1), bytes(m.user_size))
        m.freeze()
    calls = ("freeze", lambda m: m.freeze()), ("update", lambda m: m.update(u32(1), bytes(m.user_size)))
    more = ("delete", lambda m: m.delete(u32(1))), ("take", lambda m: m.take(u32(1)))
    for name, call in (*calls, *more):
        assert outcome(lambda c=call: c(ours)) == outcome(lambda c=call: c(linux)), name
    assert ours.lookup(u32(1)) is not None


@pytest.mark.parametrize("kind", (MapType.HASH, MapType.PERCPU_HASH), ids=lambda kind: kind.name)
@pytest.mark.parametrize("max_entries", [1, 2, 3, 7, 11, 64, 1000])
def test_exactly_max_entries_fit(kind: MapType, max_entries: int) -> None:
    m = Ours(kind, 4, 8, max_entries)
    for i in range(max_entries):
        m.update(u32(i), bytes(m.user_size), BPF_NOEXIST)
    assert outcome(lambda: m.update(u32(max_entries), bytes(m.user_size))) == "E2BIG"
    m.update(u32(0), b"\1" * m.user_size)
    assert outcome(lambda: m.update(u32(0), bytes(m.user_size), BPF_NOEXIST)) == "EEXIST"
    m.delete(u32(max_entries // 2))
    m.update(u32(max_entries), bytes(m.user_size))
    assert len(keys(m)) == max_entries == len(m.map)


@pytest.mark.parametrize("kind", (MapType.ARRAY, MapType.PERCPU_ARRAY, MapType.PROG_ARRAY, MapType.STACK_TRACE))
def test_next_key_of_indexed_maps(kind: MapType) -> None:
    ours, linux = pair(kind, 4 if kind == MapType.PROG_ARRAY else 8, 3)
    for key in (None, *map(u32, (0, 1, 2, 3, 4, 1 << 31, (1 << 32) - 1))):
        assert outcome(lambda k=key: ours.next_key(k)) == outcome(lambda k=key: linux.next_key(k)), key


@pytest.mark.parametrize("kind", (MapType.HASH, MapType.PERCPU_HASH), ids=lambda kind: kind.name)
def test_a_walk_meets_every_entry_once_and_an_unknown_key_restarts_it(kind: MapType) -> None:
    ours, linux = pair(kind, 8, 300)
    for m in (ours, linux):
        assert m.next_key(None) is None
        for i in range(300):
            m.update(u32(i * 7), bytes(m.user_size))
        assert sorted(keys(m)) == sorted(u32(i * 7) for i in range(300))
        assert m.next_key(u32(1)) == m.next_key(None)


def test_walking_while_deleting_what_was_met_visits_all() -> None:
    m = Ours(MapType.HASH, 4, 8, 500)
    for i in range(500):
        m.update(u32(i), bytes(8))
    met, key = [], m.next_key(None)
    while key is not None:
        met.append(key)
        following = m.next_key(key)
        m.delete(key)
        key = following
    assert sorted(met) == sorted(map(u32, range(500))) and len(m.map) == 0


@pytest.mark.parametrize("key_size", [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 64, 128, 512])
def test_every_byte_of_a_key_counts(key_size: int) -> None:
    rng = random.Random(key_size)
    base = rng.randbytes(key_size)
    variants = {base} | {
        bytes(b ^ (1 << bit if i == at else 0) for i, b in enumerate(base)) for at in range(key_size) for bit in (0, 7)
    }
    m = NativeMap(MapType.HASH, key_size, 8, len(variants))
    for i, key in enumerate(variants):
        m.update(key, struct.pack("<Q", i), BPF_NOEXIST)
    for i, key in enumerate(variants):
        assert m.lookup(key) == struct.pack("<Q", i)


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
@pytest.mark.parametrize("value_size", [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 33, 64, 1000])
def test_values_of_any_size_come_back_whole(kind: MapType, value_size: int) -> None:
    rng = random.Random(value_size)
    m = Ours(kind, 4, value_size, 8)
    stored = {}
    for turn in range(64):
        key, value = u32(turn % 8), bytearray(rng.randbytes(m.user_size))
        m.update(key, value)
        stored[key] = bytes(value)
        for k, v in stored.items():
            got = m.lookup(k)
            assert got == v


@pytest.mark.parametrize("bad", [b"", b"123", b"12345"])
def test_a_key_of_the_wrong_size_is_refused_with_both_sizes(bad: bytes) -> None:
    m = NativeMap(MapType.HASH, 4, 8, 4, name="flows")
    for call in (lambda: m.lookup(bad), lambda: m.update(bad, bytes(8)), lambda: m.erase(bad), lambda: m.next_key(bad)):
        with pytest.raises(OSError, match=rf"'flows': key of {len(bad)} bytes, 4 wanted"):
            call()
    with pytest.raises(OSError, match="value of 7 bytes, 8 wanted"):
        m.update(bytes(4), bytes(7))


def test_percpu_values_hold_a_value_a_cpu_in_8_byte_steps() -> None:
    ours, linux = pair(MapType.PERCPU_ARRAY, 5)
    assert ours.user_size % 8 == 0
    ncpus = ours.user_size // 8
    value = b"".join(bytes([cpu + 1]) * 8 for cpu in range(ncpus))
    ours.update(u32(0), value)
    assert ours.lookup(u32(0)) == value
    assert linux.user_size % 8 == 0
