"""Contexts field by field as Linux's PROG_TEST_RUN fills them, and what comes back."""

import struct

import pytest

from pyebpf.errors import Error
from pyebpf.spec.contexts import LAYOUTS
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import ProgFlag
from tests import linux, require
from tests.engine.images import Field, array, fields, load_linux, load_native

ETH = bytes.fromhex("ffffffffffff 020202020202")
IPV4 = bytes.fromhex("4500002e000100004011b6c6 0a000001 0a000002") + bytes(30)
PACKETS = {
    "broadcast ipv4": ETH + b"\x08\x00" + IPV4,
    "zeros": bytes(64),
    "own address": bytes(6) + ETH[6:] + b"\x08\x00" + IPV4,
    "other host": bytes.fromhex("020304050607") + ETH[6:] + b"\x08\x00" + IPV4,
    "multicast": bytes.fromhex("01005e000001") + ETH[6:] + b"\x08\x00" + IPV4,
    "vlan": ETH + bytes.fromhex("8100006f0800") + IPV4,
    "ipv6": ETH + b"\x86\xdd\x60" + bytes(60),
    "802.3 length": ETH + b"\x00\x10" + IPV4,
    "802.3 raw": ETH + b"\x00\x10\xff\xff" + IPV4,
    "arp": ETH + b"\x08\x06" + bytes(28),
    "long": ETH + b"\x08\x00" + IPV4 + bytes(1400),
}
PACKET_TYPES = [ProgType.SOCKET_FILTER, ProgType.SCHED_CLS, ProgType.XDP]
RETURN_1 = "r0 = 1\n exit"
# R7 into the only value of the map.
STORE_R7 = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = out ll
    call map_lookup_elem
    if r0 == 0 goto none
    *(u64 *)(r0 + 0) = r7
    none: r0 = 0
    exit
"""


def text_of(field: Field) -> str:
    return f"r6 = r1\n {field.load}\n{STORE_R7}"


@pytest.mark.parametrize("ptype", PACKET_TYPES, ids=lambda t: t.name.lower())
def test_every_scalar_field_reads_as_on_linux(ptype: ProgType) -> None:
    require.linux()
    pointers = {f.offset for f in LAYOUTS[ptype].fields if f.native}
    compared = 0
    with linux.create_map("array", 4, 8, 1) as theirs:
        for field in fields(ptype):
            if field.offset in pointers:
                continue
            try:
                prog = load_linux(text_of(field), ptype, {"out": theirs})
            except linux.LoadError:
                continue
            ours = array()
            mine = load_native(text_of(field), ptype, {"out": ours})
            with prog:
                for name, packet in PACKETS.items():
                    prog.test_run(data=packet)
                    mine.test_run(packet)
                    assert ours.lookup(bytes(4)) == theirs.lookup(0), (field, name)
                    compared += 1
    assert compared >= (2 if ptype == ProgType.XDP else 17) * len(PACKETS)


@pytest.mark.parametrize("ptype", [*PACKET_TYPES, ProgType.FLOW_DISSECTOR], ids=lambda t: t.name.lower())
def test_length_between_the_packet_pointers_is_as_on_linux(ptype: ProgType) -> None:
    require.linux()
    if ptype == ProgType.SOCKET_FILTER:
        text = "r0 = *(u32 *)(r1 + 0)\n exit"
    else:
        data, end = (0, 4) if ptype == ProgType.XDP else (76, 80)
        text = f"r2 = *(u32 *)(r1 + {data})\n r0 = *(u32 *)(r1 + {end})\n r0 -= r2\n exit"
    mine = load_native(text, ptype)
    with load_linux(text, ptype) as prog:
        for packet in PACKETS.values():
            run = prog.test_run(data=packet)
            assert mine.test_run(packet)[:2] == (run.retval, run.data_out)


@pytest.mark.parametrize("ptype", [*PACKET_TYPES, ProgType.FLOW_DISSECTOR], ids=lambda t: t.name.lower())
def test_short_packets_are_refused_as_on_linux(ptype: ProgType) -> None:
    require.linux()
    mine = load_native(RETURN_1, ptype)
    with load_linux(RETURN_1, ptype) as prog:
        for proto in (b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x00\x10"):
            for nbytes in range(60):
                packet = (ETH + proto + bytes(60))[:nbytes]
                try:
                    want: object = prog.test_run(data=packet).data_out
                except OSError as error:
                    want = error.errno
                try:
                    got: object = mine.test_run(packet)[1]
                except Error as error:
                    got = error.errno
                assert got == want, (proto, nbytes)


def sk_buff(**values: int) -> bytes:
    raw = bytearray(192)
    for f in LAYOUTS[ProgType.SCHED_CLS].fields:
        if f.name in values:
            raw[f.offset : f.offset + f.size] = values[f.name].to_bytes(f.size, "little")
    return bytes(raw)


def xdp_md(*values: int) -> bytes:
    return struct.pack("6I", *values)


def outcome(run, packet: bytes, ctx: bytes) -> object:  # type: ignore[no-untyped-def]
    try:
        got = run(packet, ctx)
    except OSError as error:
        return error.errno
    return got


SKB_CONTEXTS = [
    sk_buff(),
    *(sk_buff(**{f.name: 1}) for f in LAYOUTS[ProgType.SCHED_CLS].fields),
    *(sk_buff(wire_len=n) for n in (63, 64, 65535, 65536, 65537)),
    *(sk_buff(gso_segs=n) for n in (65535, 65536)),
    *(sk_buff(ifindex=n) for n in (0, 1, 7777)),
    sk_buff(mark=5, priority=6, cb=7, tstamp=8, hwtstamp=9, gso_size=10),
    sk_buff(mark=5) + bytes(8),
    sk_buff()[:100],
]
XDP_CONTEXTS = [
    xdp_md(*v)
    for v in (
        *((0, 64, 0, 0, 0, 0), (4, 64, 0, 0, 0, 0), (8, 64, 0, 1, 0, 0), (8, 64, 4, 0, 0, 0), (0, 64, 0, 0, 1, 0)),
        *((0, 64, 0, 0, 0, 1), (0, 64, 0, 7777, 0, 0), (6, 64, 0, 0, 0, 0), (48, 64, 0, 0, 0, 0), (52, 64, 0, 0, 0, 0)),
        *((64, 64, 0, 0, 0, 0), (0, 65, 0, 0, 0, 0)),
    )
]


@pytest.mark.parametrize("ptype", [ProgType.SCHED_CLS, ProgType.XDP, ProgType.FLOW_DISSECTOR], ids=lambda t: t.name)
def test_ctx_in_and_out_are_as_on_linux(ptype: ProgType) -> None:
    require.linux()
    packet = PACKETS["broadcast ipv4"]
    flow = [bytes(56), *(bytes(i) + b"\x01" + bytes(55 - i) for i in range(56))]
    contexts = {ProgType.SCHED_CLS: SKB_CONTEXTS, ProgType.XDP: XDP_CONTEXTS}.get(ptype, flow)
    mine = load_native(RETURN_1, ptype)
    with load_linux(RETURN_1, ptype) as prog:

        def theirs(data: bytes, ctx: bytes) -> object:
            run = prog.test_run(data=data, ctx=ctx.ljust(192, b"\0") if ptype == ProgType.SCHED_CLS else ctx)
            return run.retval, run.data_out, run.ctx_out

        for ctx in contexts:
            assert outcome(lambda d, c: mine.test_run(d, c)[:3], packet, ctx) == outcome(theirs, packet, ctx), ctx.hex()


def test_settable_fields_reach_the_program() -> None:
    text = "r6 = r1\n r0 = *(u32 *)(r6 + 8)\n r1 = *(u32 *)(r6 + 48)\n r0 += r1\n *(u32 *)(r6 + 32) = 77\n exit"
    mine = load_native(text, ProgType.SCHED_CLS, flags=ProgFlag.WRITES_CTX)
    retval, _, ctx_out, _ = mine.test_run(PACKETS["zeros"], sk_buff(mark=5, cb=7))
    assert retval == 12
    assert ctx_out[32:36] == (77).to_bytes(4, "little")


def test_a_written_context_does_not_leak_into_the_next_event() -> None:
    text = "r0 = *(u32 *)(r1 + 48)\n *(u32 *)(r1 + 48) = 9\n exit"
    mine = load_native(text, ProgType.SCHED_CLS, flags=ProgFlag.WRITES_CTX)
    assert mine.run_batch([bytes(64)] * 5).tolist() == [0] * 5


FLOW_KEYS = """
    r6 = r1
    r2 = *(u64 *)(r6 + 144)
    r0 = *(u16 *)(r2 + 0)
    r3 = *(u16 *)(r2 + 10)
    *(u16 *)(r2 + 2) = {thoff}
    *(u16 *)(r2 + 0) = {nhoff}
    *(u16 *)(r2 + 12) = r3
    *(u32 *)(r2 + 16) = 7
    exit
"""


@pytest.mark.parametrize(("nhoff", "thoff"), [(14, 34), (0, 0), (13, 15), (65, 10), (30, 20), (14, 9999)])
def test_flow_keys_start_and_are_bounded_as_on_linux(nhoff: int, thoff: int) -> None:
    require.linux()
    text = FLOW_KEYS.format(nhoff=nhoff, thoff=thoff)
    mine = load_native(text, ProgType.FLOW_DISSECTOR)
    with load_linux(text, ProgType.FLOW_DISSECTOR) as prog:
        for packet in PACKETS.values():
            run = prog.test_run(data=packet)
            assert mine.test_run(packet)[:2] == (run.retval, run.data_out)


LD_ABS = "r6 = r1\n r7 = {offset}\n r0 = *({size} *)skb[{mode}]\n r0 ^= 0x55\n exit"


@pytest.mark.parametrize("ptype", [ProgType.SOCKET_FILTER, ProgType.SCHED_CLS], ids=lambda t: t.name.lower())
def test_packet_loads_are_as_on_linux(ptype: ProgType) -> None:
    require.linux()
    packet = ETH + b"\x08\x00" + bytes(range(1, 60))
    net, ll = -0x100000, -0x200000
    offsets = [0, 1, 9, 30, 55, 56, 57, 58, 59, 70, 71, 72, 73, 100, net, net + 5, net + 55, net + 58, ll, ll + 12]
    offsets += [ll + 71, ll + 74, -1, -0x1000]
    for size in ("u8", "u16", "u32"):
        for offset in offsets:
            for mode in (f"{offset}", "r7 + 2"):
                text = LD_ABS.format(offset=offset, size=size, mode=mode)
                with load_linux(text, ptype) as prog:
                    want = prog.test_run(data=packet).retval
                for engine in (0, 1):
                    got = load_native(text, ptype, engine=engine).test_run(packet)[0]
                    assert got == want, (size, offset, mode, engine)


def test_a_raw_context_shorter_than_the_program_looks_is_refused() -> None:
    from pyebpf.isa.asm import assemble
    from pyebpf.isa.insn import encode
    from pyebpf.native import NativeProg
    from pyebpf.spec.verified import FactFlag, PtrKind

    seen = struct.pack("<BBHi", FactFlag.SEEN, 0, 0xFFFF, 0)
    access = struct.pack("<BBHi", FactFlag.SEEN, PtrKind.CTX, 0xFFFF, 0)
    image = encode(assemble("r0 = *(u64 *)(r1 + 16)\n exit"))
    prog = NativeProg(image, access + seen, type=ProgType.TRACEPOINT)
    assert prog.min_ctx == 24
    assert prog.run(bytes(16) + (5).to_bytes(8, "little")) == 5
    with pytest.raises(Error, match="shorter"):
        prog.run(bytes(23))
    with pytest.raises(Error, match="looks at 24"):
        prog.test_run(ctx=bytes(23))
    with pytest.raises(Error, match="event 1"):
        prog.run_batch([bytes(24), bytes(8)])
