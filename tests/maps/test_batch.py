"""Many elements in one native call: lookup, update, delete, drain; complete while other threads write."""

import struct
import threading

import numpy as np
import pytest

from pyebpf.native import NativeMap, nr_vcpus
from pyebpf.spec.kinds import BPF_NOEXIST, MapType
from tests.maps.both import outcome


def filled(kind: MapType, n: int, key_size: int = 8, value_size: int = 8) -> NativeMap:
    """A map with keys 0 to n - 1 and values 3 * key."""
    m = NativeMap(kind, key_size, value_size, n)
    keys = np.zeros((n, key_size), np.uint8)
    keys[:, :4] = np.arange(n, dtype=np.uint32)[:, None].view(np.uint8)
    values = np.zeros((n, m.user_value_size), np.uint8)
    values[:, :4] = (3 * np.arange(n, dtype=np.uint32))[:, None].view(np.uint8)
    assert m.update_batch(keys.tobytes(), values.tobytes()) == n
    return m


def read_all(m: NativeMap, step: int, *, drain: bool = False) -> dict[bytes, bytes]:
    """Everything, `step` elements a call; no key twice."""
    found: dict[bytes, bytes] = {}
    cursor, got = 0, 1
    while got:
        keys, values, cursor, got = (m.drain if drain else m.lookup_batch)(cursor, step)
        assert len(keys) == got * m.key_size and len(values) == got * m.user_value_size
        for i in range(got):
            key = bytes(keys[i * m.key_size : (i + 1) * m.key_size])
            assert key not in found
            found[key] = bytes(values[i * m.user_value_size : (i + 1) * m.user_value_size])
    return found


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.PERCPU_HASH, MapType.ARRAY, MapType.PERCPU_ARRAY])
@pytest.mark.parametrize("step", [1, 7, 64, 100, 1024, 5000])
def test_a_batch_walk_reads_what_single_lookups_read(kind: MapType, step: int) -> None:
    n = 3000 if step > 1 else 200
    m = filled(kind, n, 4, 12)
    found = read_all(m, step)
    assert len(found) == n == len(m)
    for key, value in list(found.items())[:: n // 50]:
        assert m.lookup(key) == value
        assert struct.unpack_from("<I", value)[0] == 3 * struct.unpack("<I", key)[0]


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.PERCPU_HASH])
@pytest.mark.parametrize("step", [1, 63, 64, 65, 5000])
def test_a_drain_takes_everything_once(kind: MapType, step: int) -> None:
    m = filled(kind, 500)
    expected = read_all(m, 500)
    assert read_all(m, step, drain=True) == expected
    assert len(m) == 0 and m.next_key(None) is None
    assert filled(kind, 500).drain(0, 0)[3] == 0


def test_an_error_says_how_many_elements_came_before_it() -> None:
    m = NativeMap(MapType.HASH, 4, 4, 3, name="small")
    keys = b"".join(struct.pack("<I", i) for i in range(5))
    with pytest.raises(OSError, match="'small': element 3 of the batch") as caught:
        m.update_batch(keys, bytes(20))
    assert caught.value.done == 3  # type: ignore[attr-defined]
    assert len(m) == 3
    with pytest.raises(OSError) as caught:
        m.update_batch(keys, bytes(20), BPF_NOEXIST)
    assert caught.value.done == 0  # type: ignore[attr-defined]
    assert m.delete_batch(keys[4:12]) == 2
    with pytest.raises(OSError) as caught:
        m.delete_batch(keys)
    assert caught.value.done == 1  # type: ignore[attr-defined]
    assert len(m) == 0


@pytest.mark.parametrize("kind", [MapType.ARRAY, MapType.PROG_ARRAY, MapType.STACK_TRACE])
def test_what_a_type_does_not_have_is_enotsupp(kind: MapType) -> None:
    m = NativeMap(kind, 4, 4 if kind == MapType.PROG_ARRAY else 8, 4)
    assert outcome(lambda: m.drain(0, 1)) == "ENOTSUPP"
    assert outcome(lambda: m.lookup_and_erase(bytes(4))) in ("ENOTSUPP", None)


def test_sizes_of_a_batch_must_match() -> None:
    m = NativeMap(MapType.HASH, 4, 8, 4)
    assert outcome(lambda: m.update_batch(bytes(8), bytes(8))) == "EINVAL"
    assert outcome(lambda: m.update_batch(bytes(9), bytes(16))) == "EINVAL"
    assert outcome(lambda: m.delete_batch(bytes(5))) == "EINVAL"
    assert m.update_batch(b"", b"") == 0 == m.delete_batch(b"")


def test_walks_meet_every_entry_that_stays_once_while_others_come_and_go() -> None:
    stay, churn = 2000, 2000
    m = NativeMap(MapType.HASH, 8, 64, stay + churn)
    fixed = np.arange(stay, dtype=np.uint64)
    m.update_batch(fixed.tobytes(), bytes(64 * stay))
    stop = threading.Event()

    def churner() -> None:
        moving = np.arange(stay, stay + churn, dtype=np.uint64).tobytes()
        while not stop.is_set():
            m.update_batch(moving, bytes(64 * churn))
            m.update_batch(fixed.tobytes(), bytes(64 * stay))  # replaced, not moved
            m.delete_batch(moving)

    thread = threading.Thread(target=churner)
    thread.start()
    try:
        for _ in range(200):
            keys = np.frombuffer(m.lookup_batch(0, stay + churn + 1)[0], np.uint64)
            counts = np.bincount(keys[keys < stay].astype(int), minlength=stay)
            assert (counts == 1).all()
    finally:
        stop.set()
        thread.join()
    assert len(m) == stay


def test_percpu_batches_carry_every_cpus_value() -> None:
    m = NativeMap(MapType.PERCPU_ARRAY, 4, 8, 2)
    values = np.arange(2 * nr_vcpus(), dtype=np.uint64)
    m.update_batch(np.arange(2, dtype=np.uint32).tobytes(), values.tobytes())
    assert np.frombuffer(m.lookup_batch(0, 2)[1], np.uint64).tolist() == values.tolist()
