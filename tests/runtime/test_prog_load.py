"""PROG_LOAD and PROG_TEST_RUN through bpf(2): members of attr, logs and buffers as Linux treats them."""

import ctypes
import struct

import pytest

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.spec.attr import ATTR
from pyebpf.spec.kinds import Cmd, MapType, ProgType
from tests.runtime.duo import BAD_POINTER, RETURN_2, Side, create, load, same

NOTHING_IN_R0 = bytes.fromhex("9500000000000000")


def members(side: Side, insns: bytes = RETURN_2, **more: int | bytes) -> dict[str, int | bytes]:
    """A whole PROG_LOAD."""
    base: dict[str, int | bytes] = {
        "prog_type": 1,
        "insn_cnt": len(insns) // 8,
        "insns": side.mem(insns),
        "license": side.mem(b"GPL\0"),
    }
    return {**base, **more}


def test_members() -> None:
    def script(side: Side) -> None:
        def attempt(label: str, **more: int | bytes) -> None:
            side.step(label, Cmd.PROG_LOAD, **{**members(side), **more})

        attempt("plain")
        for kind in (0, 33, 34, 1000, 1 << 31):
            attempt(f"type {kind}", prog_type=kind)
        for count in (0, 1_000_001, 1 << 31, (1 << 32) - 1):
            attempt(f"{count} instructions", insn_cnt=count)
        for address in (0, BAD_POINTER):
            attempt(f"insns {address}", insns=address)
            attempt(f"license {address}", license=address)
        for bit in range(8, 32):
            attempt(f"prog_flags {bit}", prog_flags=1 << bit)
        for text in (b"ok_1.x", b"no-good", b"x" * 16):
            attempt(f"name {text!r}", prog_name=text)
        attempt("unused kern_version", kern_version=7)
        attempt("btf id", attach_btf_id=1)
        attempt("attach_prog_fd", attach_prog_fd=12345)
        attempt("attach_prog_fd of a map", attach_prog_fd=create(side))
        attempt("fd_array_cnt without an array", fd_array_cnt=1)
        attempt("fd_array that is not used", fd_array=BAD_POINTER)
        for fd in (12345, create(side), load(side)):
            attempt("fd_array_cnt", fd_array_cnt=1, fd_array=side.mem(struct.pack("<i", fd)))

    same(script)


WANT_A_TARGET = (ProgType.TRACING, ProgType.LSM, ProgType.EXT, ProgType.STRUCT_OPS)
PLAIN = [k for k in ProgType if k not in (ProgType.UNSPEC, ProgType.HOOK, *WANT_A_TARGET)]


@pytest.mark.parametrize("kind", PLAIN)
def test_expected_attach_type(kind: ProgType) -> None:
    """Only what comes before the verifier: programs that have no instruction that any type refuses but the first."""

    def script(side: Side) -> None:
        for attach_type in range(60):
            # The license is read after the attach type is checked: a bad one tells the two apart.
            result, _ = side.call(
                Cmd.PROG_LOAD, **members(side, prog_type=kind, expected_attach_type=attach_type, license=BAD_POINTER)
            )
            side.note(f"{kind.name} {attach_type}", result)

    same(script)


@pytest.mark.parametrize("insns", [RETURN_2, NOTHING_IN_R0], ids=["accepted", "rejected"])
def test_log_members(insns: bytes) -> None:
    def script(side: Side) -> None:
        for level in (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 1 << 31):
            for size, buf in ((0, 0), (0, side.mem(64)), (64, 0), (1 << 30, 0), (1 << 30, side.mem(64))):
                if level in (4, 7, 15):  # Times differ: only that it is allowed.
                    continue
                side.step(
                    f"level {level} size {size} buf {bool(buf)}",
                    Cmd.PROG_LOAD,
                    **members(side, insns, log_level=level, log_size=size, log_buf=buf),
                )

    same(script)


@pytest.mark.parametrize("level", [1, 8, 9])
@pytest.mark.parametrize("insns", [RETURN_2, NOTHING_IN_R0], ids=["accepted", "rejected"])
def test_log_in_buffers_of_every_size(insns: bytes, level: int) -> None:
    def script(side: Side) -> None:
        for size in (1, 2, 16, 64, 96, 97, 98, 99, 100, 142, 143, 144, 270, 271, 272, 300, 4096):
            buf = side.mem(b"\xee" * 4200)
            attr = side.step(
                f"size {size}", Cmd.PROG_LOAD, **members(side, insns, log_level=level, log_size=size, log_buf=buf)
            )
            side.note(f"size {size} log", ctypes.string_at(buf, 4200).rstrip(b"\xee"))
            side.note(f"size {size} true size", f"{ATTR[Cmd.PROG_LOAD].read(attr, 'log_true_size')}")
        side.step(
            "bad buffer", Cmd.PROG_LOAD, **members(side, insns, log_level=level, log_size=4096, log_buf=BAD_POINTER)
        )

    same(script)


def run(side: Side, label: str, prog: int, **more: int | bytes) -> bytearray:
    """A test run; the outcome and what came back."""
    attr = side.step(label, Cmd.PROG_TEST_RUN, prog_fd=prog, **more)
    fields = {name: ATTR[Cmd.PROG_TEST_RUN].read(attr, name) for name in ("retval", "data_size_out", "ctx_size_out")}
    side.note(f"{label} fields", fields)
    return attr


def test_test_run_of_packets() -> None:
    def script(side: Side) -> None:
        for kind in (ProgType.SOCKET_FILTER, ProgType.XDP, ProgType.SCHED_CLS):
            prog = load(side, prog_type=kind)
            packet = side.mem(bytes(range(64)))
            for size in (0, 1, 13, 14, 15, 64):
                run(side, f"{kind.name} {size} bytes", prog, data_in=packet, data_size_in=size)
            for room in (0, 1, 64, 100):
                out = side.mem(b"\xee" * 128)
                run(side, f"{kind.name} room {room}", prog, data_in=packet, data_size_in=64, data_out=out,
                    data_size_out=room)  # fmt: skip
                side.note("data", ctypes.string_at(out, 128))
            run(side, "bad data", prog, data_in=BAD_POINTER, data_size_in=64)
            run(side, "bad data out", prog, data_in=packet, data_size_in=64, data_out=BAD_POINTER, data_size_out=64)
            run(side, "null data", prog, data_size_in=64)
            run(side, "repeat", prog, data_in=packet, data_size_in=64, repeat=3)
            run(side, "ctx without size", prog, data_in=packet, data_size_in=64, ctx_in=side.mem(64))
            run(side, "ctx size without", prog, data_in=packet, data_size_in=64, ctx_size_in=64)
            run(side, "ctx out without size", prog, data_in=packet, data_size_in=64, ctx_out=side.mem(64))
            run(side, "cpu", prog, data_in=packet, data_size_in=64, cpu=1)
            run(side, "batch", prog, data_in=packet, data_size_in=64, batch_size=1)
            run(side, "flags", prog, data_in=packet, data_size_in=64, flags=1 << 31)
        run(side, "no program", 12345, data_in=packet, data_size_in=64)

    same(script)


def test_test_run_of_skb_contexts() -> None:
    def script(side: Side) -> None:
        prog = load(side, prog_type=ProgType.SCHED_CLS)
        packet = side.mem(bytes(64))
        for at in range(0, 192, 4):
            ctx = bytearray(192)
            ctx[at] = 1
            out = side.mem(192)
            run(side, f"field at {at}", prog, data_in=packet, data_size_in=64, ctx_in=side.mem(bytes(ctx)),
                ctx_size_in=192, ctx_out=out, ctx_size_out=192)  # fmt: skip
        for size in (4, 100, 192, 200):
            run(side, f"ctx of {size}", prog, data_in=packet, data_size_in=64, ctx_in=side.mem(size), ctx_size_in=size)
            run(side, f"ctx out of {size}", prog, data_in=packet, data_size_in=64, ctx_in=side.mem(192),
                ctx_size_in=192, ctx_out=side.mem(256), ctx_size_out=size)  # fmt: skip
        run(side, "dirty ctx", prog, data_in=packet, data_size_in=64, ctx_in=side.mem(b"\1" * 200), ctx_size_in=200)

    same(script)


COUNT = """
    *(u32 *)(r10 - 4) = 0
    r1 = counts ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out: r0 = 7
    exit
"""


def test_program_counts_in_a_map() -> None:
    def script(side: Side) -> None:
        fd = create(side, map_type=MapType.ARRAY, max_entries=1)
        prog = load(side, encode(assemble(COUNT, {"counts": fd})))
        run(side, "run", prog, data_in=side.mem(64), data_size_in=64, repeat=5)
        value = side.mem(8)
        side.step("lookup", Cmd.MAP_LOOKUP_ELEM, map_fd=fd, key=side.mem(4), value=value)
        side.note("count", ctypes.string_at(value, 8))

    steps = dict(same(script))
    assert steps["count"] == (5).to_bytes(8, "little")
