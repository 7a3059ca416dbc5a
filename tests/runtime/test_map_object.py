"""Map as its user sees it, on both back ends."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyebpf
import pyebpf.syscall as sc
from pyebpf import CollectionSpec, Map
from pyebpf.spec import attr, kinds
from tests import require
from tests.objects import build

FLOW = np.dtype([("src", "u4"), ("port", ">u2"), ("pad", "u2")])
COUNT = np.dtype([("packets", "u8"), ("bytes", "u8")])


@pytest.fixture(params=["user", "kernel"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "kernel":
        require.linux()
    return str(request.param)


def errno_of(call: Any, *args: Any, **named: Any) -> int:
    with pytest.raises(pyebpf.Error) as caught:
        call(*args, **named)
    return caught.value.errno or 0


def test_bytes_in_bytes_out(backend: str) -> None:
    with Map.create("hash", 4, 8, 10, name="plain", backend=backend) as m:
        m[b"abcd"] = b"12345678"
        m[7] = 9
        assert m[b"abcd"] == b"12345678"
        assert m[7] == (9).to_bytes(8, "little")
        assert (7).to_bytes(4, "little") in m
        assert b"none" not in m
        assert len(m) == 2
        assert dict(m) == dict(m.items()) == {b"abcd": b"12345678", bytes([7, 0, 0, 0]): bytes([9]) + bytes(7)}
        assert sorted(m.values()) == sorted(m[k] for k in m)
        del m[7]
        with pytest.raises(KeyError):
            m[7]
        with pytest.raises(KeyError):
            del m[7]
        assert m.get(7) is None
        assert m.pop(b"abcd") == b"12345678"
        assert not list(m)


def test_a_mapping_has_all_its_methods(backend: str) -> None:
    with Map.create("hash", "u4", "u8", 10, backend=backend) as m:
        m.update(1, 10)
        assert m.setdefault(1, 5) == 10
        assert m.setdefault(2, 20) == 20
        assert sorted(m.items()) == [(1, 10), (2, 20)]
        assert m.popitem()[0] in (1, 2)
        m.clear()
        assert len(m) == 0


def test_bpf_2_semantics(backend: str) -> None:
    with Map.create("hash", "u4", "u8", 2, backend=backend) as m:
        m.update(1, 10, kinds.BPF_NOEXIST)
        assert errno_of(m.update, 1, 11, kinds.BPF_NOEXIST) == errno.EEXIST
        assert errno_of(m.update, 2, 11, kinds.BPF_EXIST) == errno.ENOENT
        m.update(2, 20)
        assert errno_of(m.update, 3, 30) == errno.E2BIG
        assert errno_of(m.lookup, 3) == errno.ENOENT
        assert errno_of(m.delete, 3) == errno.ENOENT
        keys = {m.next_key(), m.next_key(m.next_key())}
        assert keys == {1, 2}
        assert m.lookup_and_delete(1) == 10
        assert errno_of(m.lookup_and_delete, 1) == errno.ENOENT
        m.freeze()
        assert errno_of(m.update, 2, 1) == errno.EPERM
        assert m[2] == 20


def test_structured_keys_and_values(backend: str) -> None:
    with Map.create("hash", FLOW, COUNT, 10, backend=backend) as m:
        m[(0x0A000001, 80, 0)] = (1, 60)
        m[np.array((0x0A000002, 443, 0), FLOW)[()]] = {"packets": 5}
        value = m[(0x0A000001, 80, 0)]
        assert (value["packets"], value["bytes"]) == (1, 60)
        value["packets"] = 99
        assert m[(0x0A000001, 80, 0)]["packets"] == 1
        table = dict(m.items())
        key = next(k for k in table if k["port"] == 443)
        assert table[key]["packets"] == 5
        assert m[key]["packets"] == 5
        with pytest.raises(ValueError, match="read-only"):
            key["src"] = 1


def test_values_that_do_not_fit(backend: str) -> None:
    with Map.create("hash", "u4", "i2", 10, backend=backend) as m:
        for bad in (1 << 15, -(1 << 15) - 1, "text", None, (1, 2), 1.5j):
            assert errno_of(m.update, 1, bad) == errno.EINVAL
        for bad in (-1, 1 << 32, b"abc"):
            assert errno_of(m.lookup, bad) == errno.EINVAL
        m[1] = -5
        assert m[1] == -5
        assert type(m[1]) is int


def test_arrays_and_strings(backend: str) -> None:
    with Map.create("array", 4, np.dtype(("u2", 3)), 2, backend=backend) as m:
        m[0] = [1, 2, 3]
        got = m[0]
        assert got.tolist() == [1, 2, 3]
        got[0] = 9
        assert m[0].tolist() == [1, 2, 3]
        assert errno_of(m.update, 0, [1, 2]) == errno.EINVAL
    with Map.create("array", 4, "S8", 1, backend=backend) as m:
        m[0] = b"name"
        assert m[0] == b"name"
        assert errno_of(m.update, 0, b"much too long") == errno.EINVAL


def test_per_cpu_values(backend: str) -> None:
    with Map.create("percpu_array", "u4", "u4", 2, backend=backend) as m:
        cpus = len(m[0])
        assert cpus >= 1
        m[0] = 7
        assert m[0].tolist() == [7] * cpus
        m[1] = list(range(cpus))
        assert m[1].tolist() == list(range(cpus))
        assert m[1].dtype == np.dtype("u4")
    with Map.create("percpu_hash", "u4", 3, 2, backend=backend) as m:
        m[5] = [bytes([i] * 3) for i in range(cpus)]
        assert m[5] == [bytes([i] * 3) for i in range(cpus)]


def test_array_has_all_its_keys(backend: str) -> None:
    with Map.create("array", "u4", "u8", 3, backend=backend) as m:
        assert list(m) == [0, 1, 2]
        assert len(m) == 3
        assert 3 not in m
        assert errno_of(m.delete, 0) == errno.EINVAL


def test_from_id(backend: str) -> None:
    with Map.create("hash", "u4", "u4", 4, name="named", backend=backend) as m:
        m[1] = 2
        with Map.from_id(m.id, "u4", "u4", backend=backend) as other:
            assert other[1] == 2
            assert (other.name, other.type, other.max_entries) == ("named", kinds.MapType.HASH, 4)
            assert other.fd != m.fd


def test_closed_map_is_ebadf(backend: str) -> None:
    m = Map.create("hash", 4, 4, 4, backend=backend)
    m.close()
    m.close()
    assert "closed" in repr(m)
    assert errno_of(m.lookup, 1) == errno.EBADF
    assert errno_of(lambda: m.fd) == errno.EBADF


def test_an_fd_closed_behind_its_map() -> None:
    m = Map.create("hash", 4, 4, 4)
    pyebpf.close(m.fd)
    assert errno_of(pyebpf.close, m.fd) == errno.EBADF
    del m  # Says nothing.


def test_objects_left_open_at_exit_say_nothing() -> None:
    code = (
        "import pyebpf\n"
        "m = pyebpf.Map.create('hash', 4, 4, 4)\n"
        "p = pyebpf.Program.load('r1 = m ll\\n r0 = 2\\n exit', 'xdp', maps={'m': m})\n"
        "class Cycle: pass\n"
        "c = Cycle(); c.me = c; c.m = pyebpf.Map.create('array', 4, 4, 4)\n"
        "print(p(bytes(64)))\n"
    )
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_pin(tmp_path: Path) -> None:
    m = Map.create("hash", "u4", "u4", 4)
    m[1] = 2
    m.pin(tmp_path / "m")
    m.close()
    with Map.from_pin(tmp_path / "m", "u4", "u4") as again:
        assert again[1] == 2
    pyebpf.unpin(tmp_path / "m")
    assert errno_of(Map.from_pin, tmp_path / "m") == errno.ENOENT


def test_kind_without_a_back_end_is_verify_only() -> None:
    with Map.create("lpm_trie", 8, 8, 4, kinds.BPF_F_NO_PREALLOC) as m:
        assert not m.runnable
        with pytest.raises(pyebpf.Error, match="LPM_TRIE") as caught:
            m[bytes(8)] = bytes(8)
        assert caught.value.errno == 524


def test_types_by_btf(backend: str) -> None:
    spec = CollectionSpec.load(build.zig("count"), name="count")
    counts = spec.maps["counts"]
    btf = spec.btf
    assert btf is not None
    key, value = (btf, counts.key_type_id), (btf, counts.value_type_id)
    with Map.create("hash", key, value, 4, backend=backend) as m:
        m[1] = 1 << 40
        assert dict(m.items()) == {1: 1 << 40}
        info = sc.bpf_obj_get_info(m.fd, attr.MAP_INFO, backend=backend)
        assert info["btf_id"]
        assert (info["btf_key_type_id"], info["btf_value_type_id"]) == (counts.key_type_id, counts.value_type_id)
    assert errno_of(Map.create, "hash", (btf, "no such type"), 4, backend=backend) == errno.ENOENT


def test_kinds_by_name_and_number() -> None:
    for kind in ("array", "ARRAY", 2, kinds.MapType.ARRAY):
        with Map.create(kind, 4, 4, 1) as m:
            assert m.type is kinds.MapType.ARRAY
    assert errno_of(Map.create, "heap") == errno.EINVAL


def test_batches(backend: str) -> None:
    with Map.create("hash", "u4", COUNT, 1000, backend=backend) as m:
        keys = np.arange(500, dtype="u4")
        values = np.zeros(500, COUNT)
        values["packets"] = keys * 2
        assert m.update_batch(keys, values) == 500
        got, found = m.lookup_batch(np.array([3, 777, 5], "u4"))
        assert found.tolist() == [True, False, True]
        assert got["packets"].tolist() == [6, 0, 10]
        table = m.to_numpy()
        order = np.argsort(table["key"])
        assert (table["key"][order] == keys).all()
        assert (table["value"]["packets"][order] == keys * 2).all()
        assert m.delete_batch(keys[:100]) == 100
        assert len(m) == 400
        drained = m.drain()
        assert sorted(drained["key"].tolist()) == list(range(100, 500))
        assert len(m) == 0
        assert len(m.to_numpy()) == 0


def test_array_to_numpy(backend: str) -> None:
    with Map.create("array", "u4", "u8", 5, backend=backend) as m:
        m.update_batch(np.arange(5, dtype="u4"), np.arange(5, dtype="u8") * 10)
        table = m.to_numpy()
        assert table["value"].tolist() == [0, 10, 20, 30, 40]
    with Map.create("percpu_array", "u4", "u8", 2, backend=backend) as m:
        m[1] = 3
        table = m.to_numpy()
        assert table["value"].shape[0] == 2
        assert set(table["value"][1].tolist()) == {3}


def test_mmap_shares_the_memory() -> None:
    with Map.create("array", "u4", "u8", 4, kinds.BPF_F_MMAPABLE) as m:
        m[1] = 5
        view = pyebpf.mmap(m.fd, 4096)
        assert int.from_bytes(view[8:16], "little") == 5
        view[16:24] = (77).to_bytes(8, "little")
        assert m[2] == 77
        readonly = pyebpf.mmap(m.fd, 4096, writable=False)
        with pytest.raises(TypeError):
            readonly[0] = 1
        assert errno_of(pyebpf.mmap, m.fd, 8192) == errno.EINVAL
        assert errno_of(pyebpf.mmap, m.fd, 4096, offset=8) == errno.EINVAL
        m.freeze()
        assert errno_of(pyebpf.mmap, m.fd, 4096) == errno.EPERM
    assert view[16] == 77  # The view keeps the memory.
    with Map.create("array", "u4", "u8", 4) as m:
        assert errno_of(pyebpf.mmap, m.fd, 4096) == errno.EINVAL
    with Map.create("hash", "u4", "u8", 4) as m:
        assert errno_of(pyebpf.mmap, m.fd, 4096) == 524


def test_poll() -> None:
    import os
    import select

    read, write = os.pipe()
    with Map.create("array", "u4", "u8", 4) as m:
        fd = m.fd
        assert pyebpf.poll([(fd, select.POLLIN)], 0) == [(fd, select.POLLERR)]
        assert pyebpf.poll([(read, select.POLLIN)], 0) == []
        os.write(write, b"x")
        assert pyebpf.poll([(read, select.POLLIN)], 0) == [(read, select.POLLIN)]
    assert pyebpf.poll([(fd, select.POLLIN)], 0) == [(fd, select.POLLNVAL)]
    os.close(read)
    os.close(write)
