"""Packet by packet the same keys and hash: native C, interpreter, JIT and Linux, for every build of the dissector."""

import functools
import pathlib
import struct
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from pyebpf import Collection, PacketBatch, _baseline, open_capture
from pyebpf.bench import data, linux_image, shapes
from pyebpf.loader import CollectionSpec
from pyebpf.sources.packets import join
from tests import linux, require
from tests.packets.frames import ETH_P_IPV6, FRAMES
from tests.packets.keys import SIZE, Keys
from tests.packets.test_dissector_linux import load

BUILDS = ("", ".v4", ".zig")
SAMPLE = 13
"""Every so many-th packet of the capture is taken in the quick tests: a prime, so that patterns do not fall in step."""


@functools.cache
def capture() -> PacketBatch:
    with open_capture(data.CAPTURE) as source:
        return join(list(source))


def packets(whole: bool) -> list[bytes]:
    """The frames made by hand, each cut at every length, and the capture."""
    cut = [f.raw[:n] for f in FRAMES.values() for n in range(14, len(f.raw) + 1, 1 if whole else 3)]
    return [f.raw for f in FRAMES.values()] + cut + list(capture() if whole else capture()[::SAMPLE])


@functools.cache
def native(whole: bool) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Hashes and keys by the C compiler's build."""
    found = [_baseline.dissect(p) for p in packets(whole)]
    keys = np.frombuffer(b"".join(k for _, k in found), np.uint8).reshape(-1, SIZE)
    return np.array([h for h, _ in found], np.uint32), keys


def same(whole: bool, hashes: NDArray[np.uint32], keys: NDArray[np.uint8]) -> None:
    """As the native ones; names the first packet that differs."""
    wanted_hashes, wanted_keys = native(whole)
    wrong = np.flatnonzero((hashes != wanted_hashes) | np.any(keys != wanted_keys, axis=1))
    if len(wrong):
        i = int(wrong[0])
        got, wanted = Keys.unpack(keys[i].tobytes()), Keys.unpack(wanted_keys[i].tobytes())
        pytest.fail(f"{len(wrong)} differ, first {packets(whole)[i].hex()}:\n{got}, native\n{wanted}")


def sizes(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


whole = pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["sample", "all"])(sizes)


def test_the_native_dissector_reads_frames_as_they_were_made() -> None:
    for frame in FRAMES.values():
        assert Keys.unpack(_baseline.dissect(frame.raw)[1]).facts() == frame.facts


@pytest.mark.parametrize("engine", ["interp", "jit"])
@pytest.mark.parametrize("build", BUILDS)
def test_our_engines(build: str, engine: str, whole: bool) -> None:
    batch = PacketBatch.of(packets(whole))
    keys = np.zeros((len(batch), SIZE), np.uint8)
    with Collection.load(data.dissector(build), engine=engine) as coll:
        program = coll.programs["dissect_flow"]
        assert program.engine == engine
        hashes = program.run_batch(batch, threads=2, out=keys)
    same(whole, hashes, keys)


@pytest.mark.parametrize("build", BUILDS)
def test_linux(build: str, whole: bool) -> None:
    require.linux()
    with load(data.dissector(build)) as prog:
        runs = [prog.test_run(p) for p in packets(whole)]
    keys = np.frombuffer(b"".join(r.data_out for r in runs), np.uint8).reshape(-1, SIZE)
    same(whole, np.array([r.retval for r in runs], np.uint32), keys)


@pytest.fixture(scope="module")
def image() -> Iterator[linux_image.LinuxImage]:
    require.linux()
    code = linux_image.read(CollectionSpec.load(data.dissector()), "dissect_flow")
    assert code is not None
    yield linux_image.LinuxImage(code)


def test_the_image_of_linux_jit_called_here(image: linux_image.LinuxImage) -> None:
    for packet in packets(False):
        assert _baseline.run(image.address, _baseline.CTX_LINUX_FLOW, packet) == _baseline.dissect(packet)


def test_raw_entry_called_from_c() -> None:
    with Collection.load(data.dissector()) as coll:
        address = coll.programs["dissect_flow"].entry_raw
        for packet in shapes.SHAPES:
            assert _baseline.run(address, _baseline.CTX_SKB, packet) == _baseline.dissect(packet)


# Flows

ETHERNET = bytes(12) + b"\x88\xb5"
"""PROG_TEST_RUN shows a socket filter what stands behind the Ethernet header: here the whole frame."""


def flow_key(keys: Keys) -> bytes:
    """struct flow_key of xdp_flow.bpf.c."""
    half = 16 if keys.addr_proto == ETH_P_IPV6 else 4
    src, dst = keys.addrs[:half].ljust(16, b"\0"), keys.addrs[half : 2 * half].ljust(16, b"\0")
    ports = struct.pack(">HH", keys.sport, keys.dport)
    return src + dst + ports + struct.pack("<HBB", keys.addr_proto, keys.ip_proto, keys.is_encap)


def counted() -> dict[bytes, tuple[int, int]]:
    """Packets and bytes of every flow of the capture, counted here from the native keys."""
    n, nbytes = Counter[bytes](), Counter[bytes]()
    for packet in capture():
        keys = Keys.unpack(_baseline.dissect(packet)[1])
        if keys.addr_proto:
            n[flow_key(keys)] += 1
            nbytes[flow_key(keys)] += len(packet)
    return {key: (n[key], nbytes[key]) for key in n}


SLOW = pytest.mark.slow
FLOW_RUNS = [
    ("", "jit"),
    pytest.param("", "interp", marks=SLOW),
    pytest.param(".v4", "jit", marks=SLOW),
    pytest.param(".zig", "jit", marks=SLOW),
    pytest.param(".zig", "interp", marks=SLOW),
]
"""Verifying one of these takes the most of a test's time."""


@pytest.mark.parametrize(("build", "engine"), FLOW_RUNS)
def test_xdp_flow_counts_every_flow(build: str, engine: str) -> None:
    with Collection.load(data.DATA / "bpf" / f"xdp_flow{build}.o", engine=engine) as coll:
        with open_capture(data.CAPTURE) as source:
            for batch in source:
                assert np.all(coll.programs["xdp_flow"].run_batch(batch, threads=2) == 2)
        flows = {k.tobytes(): (int(v["packets"]), int(v["bytes"])) for k, v in coll.maps["flows"].items()}
        other = coll.variables["other_packets"]
    wanted = counted()
    assert flows == wanted
    assert int(other) == len(capture()) - sum(n for n, _ in wanted.values())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["interp", "jit"])
def test_sock_flow_of_three_builds_and_linux_agree(engine: str) -> None:
    require.linux()
    results = []
    sample = list(capture()[::SAMPLE])
    for build, where in [(b, {"engine": engine}) for b in BUILDS] + [("", {"backend": "kernel"})]:
        path: pathlib.Path = data.DATA / "bpf" / f"sock_flow{build}.o"
        with Collection.load(path, **where) as coll:  # type: ignore[arg-type]
            program = coll.programs["sock_flow"]
            returned = [program.test_run(ETHERNET + p).retval for p in sample]
            flows = {k.tobytes(): v.tobytes() for k, v in coll.maps["sock_flows"].items()}
            results.append((returned, flows))
    assert results[0][1]
    assert all(r == results[0] for r in results[1:])


def test_the_capture_is_what_its_readme_says() -> None:
    batch = capture()
    assert Counter(batch.ifaces.tolist()) == {0: 23_601, 1: 12_508}
    assert int(batch.lengths.max()) == 128
    seen = Counter(Keys.unpack(_baseline.dissect(p)[1]).ip_proto for p in batch[batch.ifaces == 0])
    assert {1, 6, 17, 58} <= set(seen)
    assert 132 in {Keys.unpack(_baseline.dissect(p)[1]).ip_proto for p in batch[batch.ifaces == 1]}


def test_linux_and_native_agree_on_damaged_packets() -> None:
    require.linux()
    rng = np.random.default_rng(6)
    with linux_prog() as prog, Collection.load(data.dissector()) as coll:
        program = coll.programs["dissect_flow"]
        for frame in list(FRAMES.values()) * 12:
            raw = np.frombuffer(frame.raw, np.uint8).copy()
            raw[rng.integers(12, len(raw), 3)] = rng.integers(0, 256, 3)
            packet = raw.tobytes()
            run, here = prog.test_run(packet), program.test_run(packet)
            assert (run.retval, run.data_out) == _baseline.dissect(packet) == (here.retval, here.data_out)


def linux_prog() -> linux.Prog:
    return load(data.dissector())
