"""Map helpers from running programs: the same results on both engines and in Linux."""

import os
import struct
from collections.abc import Iterator

import pytest

from pyebpf import native
from pyebpf.spec.kinds import MapType
from tests import require
from tests.maps import progs
from tests.maps.both import Linux, Ours, keys

HERE = ("interp", "jit")


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """Per-CPU values of Linux are the running CPU's."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


KEY = "*(u64 *)(r10 - 8) = {key}\n r2 = r10\n r2 += -8\n r1 = m ll\n"
VALUE = "*(u64 *)(r10 - 16) = {value}\n r3 = r10\n r3 += -16\n"
UPDATE = KEY + VALUE + "r4 = {flags}\n call map_update_elem\n"
LOOKUP = KEY + "call map_lookup_elem\n if r0 == 0 goto null\n r0 = *(u64 *)(r0 + 0)\n exit\n null: r0 = -77\n exit\n"
DELETE = KEY + "call map_delete_elem\n"
SUM = """
    r6 = {start}
    *(u64 *)(r10 - 8) = r6
    r1 = m ll
    r2 = each ll
    r3 = r10
    r3 += -8
    r4 = {flags}
    call for_each_map_elem
    r1 = *(u64 *)(r10 - 8)
    r1 *= 1000
    r0 += r1
    exit
    each: r1 = *(u64 *)(r4 + 0)
    r2 = *(u64 *)(r3 + 0)
    r1 += r2
    *(u64 *)(r4 + 0) = r1
    r0 = 0
    if r1 < {limit} goto more
    r0 = 1
    more: exit
"""


def both(kind: MapType, max_entries: int = 4, key_size: int = 4) -> dict[str, Ours | Linux]:
    require.linux()
    args = kind, key_size, 8, max_entries
    return {"interp": Ours(*args), "jit": Ours(*args), "linux": Linux(*args)}


KINDS = (MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PERCPU_ARRAY)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_program_updates_looks_up_and_deletes_as_in_linux(kind: MapType) -> None:
    maps = both(kind)
    script = [UPDATE.format(key=k, value=k * 11 + f, flags=f) + "exit" for k in (0, 1, 3, 4, 5) for f in (0, 1, 2, 3)]
    script += [LOOKUP.format(key=k) for k in range(7)]
    script += [DELETE.format(key=k) + "exit" for k in (1, 1, 9)]
    script += [UPDATE.format(key=k, value=k, flags=0) + "exit" for k in range(10, 14)]
    for text in script:
        seen = {where: progs.run(text, where, m=m) for where, m in maps.items()}
        assert seen["interp"] == seen["jit"] == seen["linux"], (text, seen)


@pytest.mark.parametrize("key_size", [4, 8, 16, 20])
def test_keys_of_each_specialised_size(key_size: int) -> None:
    for where in HERE:
        m = Ours(MapType.HASH, key_size, 8, 10)
        store = "".join(f"*(u32 *)(r10 - {40 - i}) = {i + 5}\n" for i in range(0, key_size, 4))
        body = store + "r1 = m ll\n r2 = r10\n r2 += -40\n *(u64 *)(r10 - 16) = 99\n"
        assert progs.run(body + "r3 = r10\n r3 += -16\n r4 = 1\n call map_update_elem\n exit", where, m=m) == 0
        assert progs.run(body + LOOKUP.split("r1 = m ll\n")[1], where, m=m) == 99
        assert m.lookup(b"".join(struct.pack("<I", i + 5) for i in range(0, key_size, 4))) == struct.pack("<Q", 99)


@pytest.mark.parametrize("kind", (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY), ids=lambda kind: kind.name)
@pytest.mark.parametrize("where", HERE)
def test_a_programs_update_sets_its_own_cpus_value_and_a_users_all(kind: MapType, where: str) -> None:
    m = Ours(kind, 4, 8, 4)
    ncpus = native.nr_vcpus()
    assert progs.run(UPDATE.format(key=2, value=7, flags=0) + "exit", where, m=m) == 0
    raw = m.lookup(struct.pack("<I", 2))
    assert raw is not None
    values = struct.unpack(f"<{ncpus}Q", raw)
    assert sorted(values) == [0] * (ncpus - 1) + [7]
    m.update(struct.pack("<I", 2), struct.pack(f"<{ncpus}Q", *range(100, 100 + ncpus)))
    cpu = values.index(7)
    assert 100 <= progs.run(LOOKUP.format(key=2), where, m=m) < 100 + ncpus
    for n in (*range(ncpus), ncpus, 1 << 30):
        text = (
            KEY.format(key=2) + f"r3 = {n}\n call map_lookup_percpu_elem\n" + LOOKUP.split("call map_lookup_elem\n")[1]
        )
        assert progs.run(text, where, m=m) == (100 + n if n < ncpus else -77)
    assert cpu < ncpus


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("where", HERE)
def test_for_each_map_elem(kind: MapType, where: str) -> None:
    """bpf-helpers(7): the number of elements met; a callback that returns 1 ends it; flags must be 0."""
    m = Ours(kind, 4, 8, 5)
    for i in range(5):
        m.update(struct.pack("<I", i), struct.pack("<Q", 3) * (m.user_size // 8))
    for start, limit, flags, expected in ((0, 1 << 20, 0, 5 + 15000), (7, 11, 0, 2 + 13000), (0, 1 << 20, 1, -22)):
        assert progs.run(SUM.format(start=start, limit=limit, flags=flags), where, m=m) == expected


@pytest.mark.parametrize("where", HERE)
def test_for_each_map_elem_gives_each_key(where: str) -> None:
    m = Ours(MapType.HASH, 4, 8, 50)
    for i in range(1, 51):
        m.update(struct.pack("<I", i), bytes(8))
    text = SUM.replace("*(u64 *)(r3 + 0)\n", "*(u32 *)(r2 + 0)\n").format(start=0, limit=1 << 20, flags=0)
    assert progs.run(text, where, m=m) == 50 + 1000 * sum(range(1, 51))


@pytest.mark.parametrize("where", HERE)
def test_get_stackid_stores_the_stack_the_run_was_started_from(where: str) -> None:
    m = Ours(MapType.STACK_TRACE, 4, 8 * 32, 64)
    text = "r2 = m ll\n r3 = {flags}\n call get_stackid\n exit"
    first = progs.run(text.format(flags=0), where, m=m)
    assert 0 <= first < 64
    assert keys(m) == [struct.pack("<I", first)]
    raw = m.lookup(struct.pack("<I", first))
    assert raw is not None
    names = [native.symbolize(ip) for ip in struct.unpack("<32Q", raw) if ip]
    assert any(name.startswith(("_PyEval", "Py", "_Py")) for name in names), names
    skipped = progs.run(text.format(flags=1 | 1024), where, m=m)
    raw = m.lookup(struct.pack("<I", skipped))
    assert raw is not None
    assert progs.run(text.format(flags=255), where, m=m) == -14
    assert progs.run(text.format(flags=1 << 20), where, m=m) == -22
    m.delete(struct.pack("<I", skipped))
    assert struct.pack("<I", skipped) not in keys(m)
