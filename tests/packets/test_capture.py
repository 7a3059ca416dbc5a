"""The capture reader against captures made by hand, and against tshark."""

import errno
import os
import pathlib
import shutil
import struct
import subprocess
import threading
import time

import numpy as np
import pytest

import pyebpf
from pyebpf import Error, PacketBatch, open_capture
from pyebpf.sources.packets import join
from tests.packets import captures
from tests.packets.captures import enhanced, interface, obsolete, option, pcap, section, simple
from tests.packets.frames import FRAMES

RAW = [frame.raw for frame in FRAMES.values()]
T0 = 1_700_000_000_123_456_789
PACKETS = [(T0 + 1001 * i, raw, len(raw)) for i, raw in enumerate(RAW)]


def read(path: "pathlib.Path | int | str", **options: object) -> PacketBatch:
    with open_capture(path, **options) as capture:  # type: ignore[arg-type]
        return join(list(capture))


def write(tmp_path: pathlib.Path, data: bytes) -> pathlib.Path:
    path = tmp_path / "capture"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_in_either_order_and_resolution(tmp_path: pathlib.Path, order: str, nanoseconds: bool) -> None:
    batch = read(write(tmp_path, pcap(PACKETS, order=order, nanoseconds=nanoseconds)))
    unit = 1 if nanoseconds else 1000
    assert list(batch) == RAW
    assert batch.times_ns.tolist() == [t // unit * unit for t, _, _ in PACKETS]


@pytest.mark.parametrize("order", "<>")
def test_pcap_with_24_byte_record_headers(tmp_path: pathlib.Path, order: str) -> None:
    assert list(read(write(tmp_path, pcap(PACKETS, order=order, modified=True)))) == RAW


def test_a_snapshot_shorter_than_the_packet_gives_both_lengths(tmp_path: pathlib.Path) -> None:
    batch = read(write(tmp_path, pcap([(0, RAW[0][:34], 1514), (0, b"", 60)], snaplen=34)))
    assert batch.lengths.tolist() == [34, 0]
    assert batch.wire_lengths.tolist() == [1514, 60]
    assert batch.wire_bytes == 1574
    assert list(batch) == [RAW[0][:34], b""]


def test_the_frame_check_length_above_the_link_type_is_left_out(tmp_path: pathlib.Path) -> None:
    assert len(read(write(tmp_path, pcap(PACKETS, link_type=0x54000001)))) == len(RAW)


@pytest.mark.parametrize("order", "<>")
def test_every_kind_of_packet_block(tmp_path: pathlib.Path, order: str) -> None:
    data = section(order) + interface(order) + enhanced(order, 0, 5, RAW[0], 99)
    data += simple(order, RAW[1], len(RAW[1])) + obsolete(order, 0, 7, RAW[2], 98)
    batch = read(write(tmp_path, data))
    assert list(batch) == RAW[:3]
    assert batch.wire_lengths.tolist() == [99, len(RAW[1]), 98]
    assert batch.times_ns.tolist() == [5000, 0, 7000]


def test_a_simple_packet_is_cut_at_the_snapshot_length(tmp_path: pathlib.Path) -> None:
    data = section("<") + interface("<", snaplen=21) + simple("<", RAW[0][:21], len(RAW[0]))
    batch = read(write(tmp_path, data))
    assert list(batch) == [RAW[0][:21]]
    assert batch.wire_lengths.tolist() == [len(RAW[0])]


@pytest.mark.parametrize(
    ("resolution", "units", "expected"),
    [
        (0, 3, 3 * 10**9),
        (3, 1_234, 1_234_000_000),
        (6, T0 // 1000, T0 // 1000 * 1000),
        (9, T0, T0),
        (12, 1_234_567_890_123, 1_234_567_890),
        (19, 2 * 10**19 - 1 & (1 << 64) - 1, (2 * 10**19 - 1 & (1 << 64) - 1) // 10**10),
        (0x80 | 10, 1024 + 512, 1_500_000_000),
        (0x80 | 30, (1 << 30) * 7 + 1, 7 * 10**9),
        (0x80 | 63, (1 << 63) + (1 << 62), 1_500_000_000),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_time_resolutions(tmp_path: pathlib.Path, order: str, resolution: int, units: int, expected: int) -> None:
    data = section(order) + interface(order, option(order, 9, bytes([resolution]))) + enhanced(order, 0, units, b"x", 1)
    assert read(write(tmp_path, data)).times_ns.tolist() == [expected]


@pytest.mark.parametrize("order", "<>")
def test_time_offset_and_name_of_an_interface(tmp_path: pathlib.Path, order: str) -> None:
    offset = option(order, 14, struct.pack(order + "q", -10))
    data = section(order) + interface(order, option(order, 2, b"veth0"), offset, snaplen=96)
    path = write(tmp_path, data + enhanced(order, 0, 15_000_000, b"x", 1))
    with open_capture(path) as capture:
        assert next(capture).times_ns.tolist() == [5 * 10**9]
        assert capture.interfaces == [(1, 96, "veth0", 1_000_000)]
        assert capture.format == "pcapng"


def test_sections_change_order_and_begin_interfaces_anew(tmp_path: pathlib.Path) -> None:
    first = section("<") + interface("<") + interface("<") + enhanced("<", 1, 1, RAW[0], 60)
    unknown = captures.block("<", 0xBAD, b"what is this")
    second = section(">") + interface(">", option(">", 9, b"\x09")) + enhanced(">", 0, 9, RAW[1], 60)
    batch = read(write(tmp_path, first + unknown + second))
    assert list(batch) == RAW[:2]
    assert batch.ifaces.tolist() == [1, 2]
    assert batch.times_ns.tolist() == [1000, 9]


def test_a_block_larger_than_a_window_is_passed_over(tmp_path: pathlib.Path) -> None:
    data = section("<") + captures.block("<", 5, bytes(9 << 20)) + interface("<") + enhanced("<", 0, 1, RAW[0], 60)
    assert list(read(write(tmp_path, data))) == RAW[:1]


def test_packets_across_windows(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(9)
    packets = [(i * 1000, rng.bytes(int(n)), int(n)) for i, n in enumerate(rng.integers(0, 3000, 6000))]
    path = write(tmp_path, pcap(packets, order=">"))
    with open_capture(path) as capture:
        batches = list(capture)
        assert len(batches) > 3
        assert capture.position == path.stat().st_size
    assert list(join(batches)) == [raw for _, raw, _ in packets]


def test_more_packets_than_a_window_has_room_for(tmp_path: pathlib.Path) -> None:
    n = 300_000
    path = write(tmp_path, pcap([], order="<") + struct.pack("<IIII", 1, 0, 0, 60) * n)
    with open_capture(path) as capture:
        batches = list(capture)
    assert sum(map(len, batches)) == n
    assert sum(b.wire_bytes for b in batches) == 60 * n


def test_the_largest_packet(tmp_path: pathlib.Path) -> None:
    raw = np.random.default_rng(1).bytes(1 << 20)
    batch = read(write(tmp_path, pcap([(0, RAW[0], 60), (0, raw, len(raw)), (0, RAW[1], 60)])))
    assert list(batch) == [RAW[0], raw, RAW[1]]


def test_a_batch_outlives_its_capture(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, pcap(PACKETS))
    kept = []
    for _ in range(5):
        with open_capture(path) as capture:
            kept += list(capture)
    assert all(list(batch) == RAW for batch in kept)


def test_memory_of_batches_let_go_is_used_again(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, pcap([], order="<") + struct.pack("<IIII", 1, 0, 0, 60) * 300_000)
    with open_capture(path) as capture:
        places = {batch.data.ctypes.data for batch in capture}
    assert len(places) <= 3


def test_packets_are_read_only(tmp_path: pathlib.Path) -> None:
    batch = read(write(tmp_path, pcap(PACKETS)))
    with open_capture(write(tmp_path, pcap(PACKETS))) as capture:
        batch = next(capture)
    with pytest.raises(ValueError, match="read-only"):
        batch.data[0] = 1


# Pipes


def test_a_pipe_gives_packets_as_they_come() -> None:
    reader, writer = os.pipe()
    data = pcap(PACKETS)
    with os.fdopen(reader, "rb", buffering=0) as file, open_capture(file) as capture:
        os.write(writer, data[: 24 + 16 + len(RAW[0]) + 7])
        assert list(next(capture)) == RAW[:1]
        os.write(writer, data[24 + 16 + len(RAW[0]) + 7 :])
        os.close(writer)
        assert list(join(list(capture))) == RAW[1:]
        assert capture.truncated is None


def test_a_pipe_written_byte_by_byte() -> None:
    reader, writer = os.pipe()
    data = pcap(PACKETS[:4])

    def write_slowly() -> None:
        for byte in data:
            os.write(writer, bytes([byte]))
        os.close(writer)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    batch = read(reader)
    thread.join()
    os.close(reader)
    assert list(batch) == RAW[:4]


def test_reading_a_pipe_holds_no_gil() -> None:
    reader, writer = os.pipe()
    done = threading.Event()

    def wait_for_packets() -> None:
        read(reader)
        done.set()

    thread = threading.Thread(target=wait_for_packets)
    thread.start()
    time.sleep(0.05)
    assert not done.is_set()
    os.write(writer, pcap(PACKETS))
    os.close(writer)
    thread.join()
    os.close(reader)
    assert done.is_set()


# Bad input


@pytest.mark.parametrize("missing", [1, 5, 20, 53, 60])
def test_a_truncated_last_record_is_left_out_and_reported(tmp_path: pathlib.Path, missing: int) -> None:
    data = pcap(PACKETS[:2])
    with open_capture(write(tmp_path, data[:-missing])) as capture:
        assert list(join(list(capture))) == RAW[:1]
        assert capture.truncated == 24 + 16 + len(RAW[0])


@pytest.mark.parametrize("last", [enhanced("<", 0, 1, RAW[1], 60), captures.block("<", 5, bytes(1000))])
def test_a_truncated_pcapng_block_is_reported(tmp_path: pathlib.Path, last: bytes) -> None:
    head = section("<") + interface("<") + enhanced("<", 0, 1, RAW[0], 60)
    with open_capture(write(tmp_path, head + last[:-1])) as capture:
        assert list(join(list(capture))) == RAW[:1]
        assert capture.truncated is not None
        assert len(head) <= capture.truncated < len(head) + len(last)


def test_a_whole_capture_is_not_truncated(tmp_path: pathlib.Path) -> None:
    with open_capture(write(tmp_path, pcap([]))) as capture:
        assert list(capture) == []
        assert capture.truncated is None


HEAD = section("<") + interface("<")
GOOD = enhanced("<", 0, 1, RAW[0], 60)
MALFORMED = [
    (b"", "offset 0: the end, expected a pcap or pcapng header"),
    (b"\xd4\xc3\xb2", "offset 3: the end, expected"),
    (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "offset 8: the end, expected"),
    (b"not a capture at all", "first bytes 6e 6f 74 20, expected a pcap or pcapng capture"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "compressed by gzip"),
    (struct.pack("<IHHiIII", 0xA1B2C3D4, 3, 0, 0, 0, 0, 1), "offset 4: pcap version 3.0, expected 2.x"),
    (pcap([]) + struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 60), "offset 24: a pcap record of 4294967295 captured bytes"),
    (section("<").replace(b"\x4d\x3c\x2b\x1a", b"\x4d\x3c\x2b\x1b"), "offset 0: a section header of byte-order magic"),
    (HEAD + struct.pack("<II", 6, 7) + bytes(20), f"offset {len(HEAD)}: a block of length 7, expected a multiple of 4"),
    (HEAD + struct.pack("<II", 6, 0) + bytes(20), f"offset {len(HEAD)}: a block of length 0"),
    (HEAD + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(20), "a block of length 4294967292, expected at most"),
    (HEAD + GOOD[:-4] + struct.pack("<I", 92), f"offset {len(HEAD)}: a block that ends with length 92"),
    (section("<") + GOOD, "a packet of interface 0, expected one described before it"),
    (HEAD + enhanced("<", 1, 1, RAW[0], 60), "a packet of interface 1, expected one described before it"),
    (HEAD + section("<") + GOOD, "a packet of interface 0, expected one described before it"),
    (HEAD + GOOD[:20] + struct.pack("<I", 4000) + GOOD[24:], "a packet of captured length 4000, expected it to end"),
    (section("<") + interface("<", option("<", 9, b"\x14")), "if_tsresol) 20, expected 0 to 19 or 128 to 191"),
    (section("<") + captures.block("<", 1, bytes(8) + struct.pack("<HH", 2, 999)), "an option of length 999"),
    (section("<") + captures.block("<", 1, bytes(4)), "an interface block of body length 4, expected at least 8"),
    (section("<") + interface("<") * 4097, "interface 4097, expected at most 4096"),
]


@pytest.mark.parametrize(("data", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_refused_with_its_offset(tmp_path: pathlib.Path, data: bytes, message: str) -> None:
    with open_capture(write(tmp_path, data)) as capture, pytest.raises(Error) as raised:
        list(capture)
    assert raised.value.errno == errno.EINVAL
    assert message in str(raised.value)
    assert "offset" in str(raised.value)


def test_packets_before_a_malformed_block_are_given_first(tmp_path: pathlib.Path) -> None:
    with open_capture(write(tmp_path, HEAD + GOOD * 3 + struct.pack("<III", 6, 7, 7))) as capture:
        assert list(next(capture)) == RAW[:1] * 3
        for _ in range(2):
            with pytest.raises(Error, match="a block of length 7"):
                next(capture)


def test_another_link_type_is_refused_unless_asked_for(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, pcap(PACKETS, link_type=113))
    with open_capture(path) as capture, pytest.raises(Error, match=r"link type 113 .*expected 1"):
        next(capture)
    assert list(read(path, link_type=None)) == RAW


def test_interfaces_of_another_link_type_do_not_matter_without_packets(tmp_path: pathlib.Path) -> None:
    assert len(read(write(tmp_path, section("<") + interface("<", link_type=189) + interface("<") + GOOD[:8]
                    + struct.pack("<I", 1) + GOOD[12:]))) == 1  # fmt: skip


def test_a_directory_and_a_missing_file_are_refused(tmp_path: pathlib.Path) -> None:
    with open_capture(tmp_path) as capture, pytest.raises(Error) as raised:
        next(capture)
    assert raised.value.errno == errno.EISDIR
    with pytest.raises(FileNotFoundError):
        open_capture(tmp_path / "none")


def test_a_file_truncated_while_it_is_read_is_no_crash(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, pcap([], order="<") + (struct.pack("<IIII", 1, 0, 60, 60) + bytes(60)) * 200_000)
    with open_capture(path) as capture:
        first = next(capture)
        os.truncate(path, 1000)
        rest = list(capture)
    assert first[len(first) - 1] == bytes(60)
    assert len(rest) <= 1


def test_a_closed_capture_says_so(tmp_path: pathlib.Path) -> None:
    capture = open_capture(write(tmp_path, pcap(PACKETS)))
    capture.close()
    capture.close()
    with pytest.raises(Error) as raised:
        next(capture)
    assert raised.value.errno == errno.EBADF


# Batches


def test_a_batch_of_python_packets() -> None:
    batch = pyebpf.PacketBatch.of(RAW)
    assert list(batch) == RAW
    assert batch[-1] == RAW[-1]
    assert list(batch[3:6]) == RAW[3:6]
    assert batch[3:6].wire_bytes == sum(map(len, RAW[3:6]))
    assert list(batch[np.array([5, 1])]) == [RAW[5], RAW[1]]
    assert len(PacketBatch.of([])) == 0
    with pytest.raises(IndexError):
        batch[len(RAW)]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "modpcap", "pcapng"])
def test_what_wireshark_writes(tmp_path: pathlib.Path, form: str) -> None:
    path, made = write(tmp_path, pcap(PACKETS, nanoseconds=True)), tmp_path / "made"
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}  # a sanitizer is ours, not Wireshark's
    subprocess.run(["editcap", "-F", form, path, made], check=True, capture_output=True, env=env, timeout=60)
    batch = read(made)
    unit = 1 if form in ("nsecpcap", "pcapng") else 1000
    assert list(batch) == RAW
    assert batch.times_ns.tolist() == [t // unit * unit for t, _, _ in PACKETS]
