"""Packet helpers against Linux: what they return, and the packet they leave."""

import random
import struct

import pytest

from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import ProgFlag
from tests import linux, require
from tests.engine.images import array, load_linux, load_native

PACKET = bytes.fromhex("ffffffffffff0202020202020800") + bytes(range(14, 114))
RESIZES = ProgFlag.RESIZES_PACKET | ProgFlag.WRITES_PACKET | ProgFlag.CALLS_HELPERS


def check(text: str, ptype: ProgType, packet: bytes = PACKET) -> int:
    """Both engines give Linux's return value and packet; the return value."""
    with load_linux(text, ptype) as prog:
        want = prog.test_run(data=packet)
    for engine in (0, 1):
        got = load_native(text, ptype, flags=RESIZES, engine=engine).test_run(packet)
        assert got[:2] == (want.retval, want.data_out), (text, engine)
    return want.retval - (1 << 32) if want.retval >> 31 else want.retval


ADJUST = "r6 = r1\n r2 = {delta}\n call xdp_adjust_{what}\n exit"


@pytest.mark.parametrize("what", ["head", "tail", "meta"])
def test_xdp_adjust_is_as_on_linux(what: str) -> None:
    require.linux()
    deltas = {-300, -257, -256, -255, -217, -216, -215, -214, -212, -100, -99, -86, -85, -14, -4, -2, -1, 0, 1, 2, 4}
    deltas |= {14, 16, 99, 100, 101, 200, 500, 3405, 3406, 3407, 3408, 1 << 30, -(1 << 31)}
    results = set()
    for delta in sorted(deltas):
        if what == "tail" and delta > 500:
            continue  # the oracle's output buffer; the limit itself is tested below
        results.add(check(ADJUST.format(what=what, delta=delta), ProgType.XDP))
    assert results >= {0, -22}


def test_xdp_tail_grows_to_the_end_of_linuxs_page() -> None:
    require.linux()
    for delta in (3405, 3406, 3407):
        text = ADJUST.format(what="tail", delta=delta)
        with load_linux(text, ProgType.XDP) as prog:
            want = prog.test_run(data=PACKET, data_size_out=8192)
        got = load_native(text, ProgType.XDP, flags=RESIZES).test_run(PACKET)
        assert got[:2] == (want.retval, want.data_out)


def test_metadata_moves_with_the_head() -> None:
    require.linux()
    text = """
        r6 = r1
        r2 = -8
        call xdp_adjust_meta
        r2 = *(u32 *)(r6 + 8)
        r3 = *(u32 *)(r6 + 0)
        r4 = r2
        r4 += 8
        if r4 > r3 goto out
        *(u32 *)(r2 + 0) = 0x11223344
        *(u32 *)(r2 + 4) = 0x55667788
        r1 = r6
        r2 = -20
        call xdp_adjust_head
        r7 = r0
        r1 = r6
        r2 = 4
        call xdp_adjust_meta
        r0 += r7
        out: exit
    """
    assert check(text, ProgType.XDP) == 0


LOAD = """
    r6 = r1
    r2 = {offset}
    r3 = r10
    r3 += -16
    *(u64 *)(r10 - 16) = -1
    *(u64 *)(r10 - 8) = -1
    r4 = {nbytes}
    {start}
    call {helper}
    if r0 != 0 goto out
    r0 = *(u64 *)(r10 - 16)
    r1 = *(u64 *)(r10 - 8)
    r0 ^= r1
    out: exit
"""


@pytest.mark.parametrize("ptype", [ProgType.SOCKET_FILTER, ProgType.SCHED_CLS], ids=lambda t: t.name.lower())
@pytest.mark.parametrize("start", [None, 0, 1, 2])
def test_skb_load_bytes_is_as_on_linux(ptype: ProgType, start: int | None) -> None:
    require.linux()
    helper = "skb_load_bytes" if start is None else "skb_load_bytes_relative"
    for offset in (0, 1, 13, 84, 85, 86, 98, 99, 100, 110, 112, 113, 114, 0x10000, 0x7FFFFFFF, -1, -14):
        for nbytes in (1, 2, 4, 15, 16):
            line = "" if start is None else f"r5 = {start}"
            check(LOAD.format(offset=offset, nbytes=nbytes, start=line, helper=helper), ptype)


STORE = """
    r6 = r1
    r2 = {offset}
    *(u64 *)(r10 - 8) = 0x1234567
    r3 = r10
    r3 += -8
    r4 = {nbytes}
    r5 = {flags}
    call skb_store_bytes
    exit
"""


def test_skb_store_bytes_is_as_on_linux() -> None:
    require.linux()
    results = set()
    for offset in (0, 1, 14, 106, 107, 110, 113, 114, 0x10000, 0x7FFFFFFF, -1):
        for nbytes in (1, 4, 8):
            for flags in (0, 1, 2, 3, 4):
                results.add(check(STORE.format(offset=offset, nbytes=nbytes, flags=flags), ProgType.SCHED_CLS))
    assert results == {0, -14, -22}


CSUM_DIFF = """
    r6 = r1
    r9 = {seed}
    r1 = data ll
    r2 = r10
    r2 += -4
    *(u32 *)(r10 - 4) = 0
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r3 = r0
    r3 += 64
    r2 = {nfrom}
    r4 = {nto}
    r5 = r9
    call csum_diff
    out: exit
"""


def test_csum_diff_is_as_on_linux() -> None:
    require.linux()
    rng = random.Random(1)
    shapes = [(0, 0), (4, 4), (0, 4), (4, 0), (8, 4), (64, 64), (20, 60), (6, 4), (4, 2)]
    contents = [bytes(128), b"\xff" * 128, bytes(64) + b"\xff" * 64, *(rng.randbytes(128) for _ in range(8))]
    with linux.create_map("array", 4, 128, 1) as theirs:
        ours = array(128)
        for nfrom, nto in shapes:
            for seed in (0, -1, 1, 0xFFFF, 0x12345678):
                text = CSUM_DIFF.format(nfrom=nfrom, nto=nto, seed=seed)
                mine = load_native(text, ProgType.SCHED_CLS, {"data": ours})
                with load_linux(text, ProgType.SCHED_CLS, {"data": theirs}) as prog:
                    for value in contents:
                        theirs.update(0, value)
                        ours.update(bytes(4), value)
                        want = prog.test_run(data=PACKET).retval
                        assert mine.test_run(PACKET)[0] == want, (nfrom, nto, seed, value.hex())


REPLACE = """
    r6 = r1
    r2 = {offset}
    r3 = {old}
    r4 = {new}
    r5 = {flags}
    call {helper}
    exit
"""


@pytest.mark.parametrize("helper", ["l3_csum_replace", "l4_csum_replace"])
def test_csum_replace_is_as_on_linux(helper: str) -> None:
    require.linux()
    rng = random.Random(2)
    for flags in (0, 1, 2, 4, 8, 0x10, 0x12, 0x20, 0x22, 0x62, 0x64, 0x82, 0x200):
        for offset in (24, 25, 112, 113, 114, 0x10000):
            for _ in range(3):
                old, new = rng.choice([(0, 0), (0, 0x1234), (rng.getrandbits(16), rng.getrandbits(16))])
                for packet in (PACKET, PACKET[:24] + bytes(2) + PACKET[26:]):
                    text = REPLACE.format(offset=offset, old=old, new=new, flags=flags, helper=helper)
                    check(text, ProgType.SCHED_CLS, packet)


WRITE = """
    r6 = r1
    r2 = *(u32 *)(r6 + 0)
    r3 = *(u32 *)(r6 + 4)
    r4 = r2
    r4 += 4
    if r4 > r3 goto out
    *(u32 *)(r2 + 0) = 0
    out: r0 = 2
    exit
"""


def test_a_writing_program_never_changes_the_callers_buffer() -> None:
    prog = load_native(WRITE, ProgType.XDP, flags=ProgFlag.WRITES_PACKET)
    data = bytearray(PACKET)
    assert prog.run(data) == 2
    assert prog.run_batch([data] * 3).tolist() == [2] * 3
    assert data == PACKET
    assert prog.test_run(data)[1] == bytes(4) + PACKET[4:]
    assert data == PACKET


def test_run_sees_the_packet_at_its_ethernet_header() -> None:
    text = "r6 = r1\n r0 = *(u8 *)skb[23]\n exit"
    prog = load_native(text, ProgType.SOCKET_FILTER)
    assert prog.run(PACKET) == PACKET[23]
    assert prog.run(PACKET[:23]) == 0
    assert prog.test_run(PACKET)[0] == PACKET[37]  # as Linux's PROG_TEST_RUN: behind it


def test_flow_keys_of_a_batch_come_in_rows() -> None:
    import numpy as np

    text = "r2 = *(u64 *)(r1 + 144)\n r3 = *(u32 *)(r1 + 76)\n *(u16 *)(r2 + 2) = 20\n r0 = 0\n exit"
    prog = load_native(text, ProgType.FLOW_DISSECTOR)
    keys = np.zeros((3, 56), np.uint8)
    prog.run_batch([PACKET] * 3, out=keys)
    assert [struct.unpack_from("<HH", bytes(row)) for row in keys] == [(14, 20)] * 3
    with pytest.raises(OSError, match="out"):
        prog.run_batch([PACKET] * 3, out=keys[:2].copy())


def test_a_batch_gives_back_what_each_run_left() -> None:
    import numpy as np

    grow = "r6 = r1\n r2 = -4\n call xdp_adjust_head\n r0 = 2\n exit"
    prog = load_native(grow, ProgType.XDP, flags=RESIZES)
    packets = [PACKET[: 20 + i] for i in range(50)]
    out, lengths = np.full((50, 60), 7, np.uint8), np.zeros(50, np.uint32)
    prog.run_batch(packets, out=out, out_lengths=lengths, threads=3)
    assert lengths.tolist() == [24 + i for i in range(50)]
    for packet, row, n in zip(packets, out, lengths, strict=True):
        want = (bytes(4) + packet)[:60]
        assert row.tobytes() == want + b"\x07" * (60 - min(60, int(n)))
    with pytest.raises(OSError, match="out_lengths"):
        prog.run_batch(packets, out_lengths=np.zeros(49, np.uint32))
    with pytest.raises((ValueError, BufferError)):
        prog.run_batch(packets, out=np.zeros((50, 60), np.uint8)[:, ::2])
