"""Program, Link and hooks for attaching, as their user sees them."""

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyebpf
import pyebpf.syscall as sc
from pyebpf import Map, Program
from pyebpf.isa import ctors as c
from pyebpf.runtime.linkobj import AttachRequest, LinkType, ProgTarget
from pyebpf.runtime.progobj import ProgObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr
from pyebpf.spec.kinds import AttachType, ProgType
from tests import require

ENGINES = ["interp", "jit"]
BOTH = [pytest.param("user", id="user"), pytest.param("kernel", id="kernel")]
PASS = "r0 = 2\n exit"
COUNT = """
    *(u32 *)(r10 - 4) = 0
    r1 = counts ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out: r0 = 2
    exit
"""
FIRST_BYTE = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 1
    r0 = 0
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 + 0)
out: exit
"""


@pytest.fixture(params=BOTH)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "kernel":
        require.linux()
    return str(request.param)


def errno_of(call: Any, *args: Any, **named: Any) -> int:
    with pytest.raises(pyebpf.Error) as caught:
        call(*args, **named)
    return caught.value.errno or 0


def test_call(backend: str) -> None:
    with Program.load(FIRST_BYTE, "xdp", backend=backend) as prog:
        assert prog(b"\x07" + bytes(63)) == 7
        assert prog(bytearray(b"\x09" + bytes(63))) == 9
        assert prog(memoryview(b"\x05" + bytes(63))) == 5
        assert prog(np.full(64, 3, np.uint8)) == 3


@pytest.mark.parametrize("engine", ENGINES)
def test_engines(engine: str) -> None:
    with Program.load(FIRST_BYTE, "xdp", engine=engine) as prog:
        assert prog.engine == engine
        assert prog(b"\x07" + bytes(63)) == 7
        assert bool(prog.jited) == (engine == "jit")
    with pytest.raises(pyebpf.Error, match="expected one of interp, jit"):
        Program.load(PASS, "xdp", engine="quantum")


def test_three_ways_to_write_a_program(backend: str) -> None:
    nested = [c.MOV64_IMM(c.R0, 2), [c.EXIT()]]
    raw = bytes.fromhex("b7000000020000009500000000000000")
    for insns in (PASS, nested, raw, bytearray(raw)):
        with Program.load(insns, "xdp", backend=backend) as prog:
            assert prog(bytes(64)) == 2
            assert prog.tag == "614b434cd8324ecc"
            assert len(prog.insns) == 2


def test_map_by_name_and_by_fd(backend: str) -> None:
    with Map.create("array", "u4", "u8", 1, backend=backend) as counts:
        with Program.load(COUNT, "xdp", maps={"counts": counts}, name="counter", backend=backend) as prog:
            prog(bytes(64))
            assert prog.test_run(bytes(64), repeat=4).retval == 2
            assert counts[0] == 5
            assert prog.info.map_ids == (counts.id,)
            assert prog.name == prog.info.name == "counter"
        code = [c.LD_MAP_FD(c.R1, counts.fd), c.MOV64_IMM(c.R0, 1), c.EXIT()]
        with Program.load(code, "xdp", backend=backend) as prog:
            assert prog(bytes(64)) == 1


def test_rejected_program_has_log_and_place(backend: str) -> None:
    with pytest.raises(pyebpf.VerifierError) as caught:
        Program.load("r0 = r3\n exit", "xdp", backend=backend)
    error = caught.value
    assert error.errno == errno.EACCES
    assert "R3 !read_ok" in str(error)
    assert "0: (bf) r0 = r3" in error.log
    if backend == "user":
        assert error.insn_idx == 0


def test_test_run_gives_the_packet_back(backend: str) -> None:
    text = """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 2
        if r4 > r3 goto out
        *(u8 *)(r2 + 1) = 0x55
    out: r0 = 1
        exit
    """
    packet = bytes(64)
    with Program.load(text, "xdp", backend=backend) as prog:
        out = prog.test_run(packet)
        assert out.retval == 1
        assert out.data_out == b"\0\x55" + bytes(62)
        assert packet == bytes(64)
        assert prog.test_run().data_out == out.data_out


def test_test_run_with_a_context(backend: str) -> None:
    text = "r0 = *(u32 *)(r1 + 8)\n r2 = 7\n *(u32 *)(r1 + 8) = r2\n exit"
    ctx = np.zeros(48, "u4")
    ctx[2] = 5
    with Program.load(text, "sched_cls", backend=backend) as prog:
        out = prog.test_run(bytes(64), ctx=ctx)
        assert out.retval == 5
        assert np.frombuffer(out.ctx_out, "u4")[2] == 7
        assert ctx[2] == 5


def test_types_that_linux_cannot_test_run_run_here() -> None:
    with Program.load("r0 = *(u64 *)(r1 + 16)\n exit", "tracepoint") as prog:
        assert prog.test_run(ctx=(1).to_bytes(8, "little") * 2 + (77).to_bytes(8, "little")).retval == 77


def test_run_batch() -> None:
    rows = np.zeros((100, 64), np.uint8)
    rows[:, 0] = np.arange(100)
    with Program.load(FIRST_BYTE, "xdp") as prog:
        assert prog.run_batch(rows).tolist() == list(range(100))
        assert prog.run_batch(rows, threads=2).tolist() == list(range(100))
        assert prog.run_batch([bytes([i] * 20) for i in range(5)]).tolist() == [0, 1, 2, 3, 4]
        structured = np.zeros(3, np.dtype([("first", "u1"), ("rest", "u1", 63)]))
        structured["first"] = [4, 5, 6]
        assert prog.run_batch(structured).tolist() == [4, 5, 6]


def test_unsafe_programs_get_address_and_length() -> None:
    prog = Program.unsafe("r0 = r2\n exit")
    assert prog(bytes(10)) == 10
    assert prog() == 0
    memory = bytearray(8)
    store = Program.unsafe("*(u8 *)(r1 + 3) = 9\n r0 = -1\n exit", private_args=True)
    assert store(memory) == 2**64 - 1
    assert memory == bytes([0, 0, 0, 9, 0, 0, 0, 0])
    with Map.create("array", "u4", "u8", 1) as counts:
        counter = Program.unsafe(COUNT, maps={"counts": counts})
        counter()
        counter(b"")
        assert counts[0] == 2


def test_unsafe_program_that_never_ends_runs_out_of_budget() -> None:
    prog = Program.unsafe("again: goto again\n exit", budget=1000)
    assert errno_of(prog) == errno.EDQUOT


@pytest.mark.parametrize("engine", ENGINES)
def test_entry_is_callable_from_native_code(engine: str) -> None:
    with Program.load("r0 = *(u32 *)(r1 + 0)\n exit", "syscall", engine=engine) as prog:
        call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)(prog.entry)
        memory = ctypes.create_string_buffer((1234).to_bytes(64, "little"))
        assert call(ctypes.addressof(memory), 64) == 1234


def test_ids_pins_and_closing(tmp_path: Path) -> None:
    prog = Program.load(PASS, "xdp")
    number = prog.id
    with Program.from_id(number) as again:
        assert again(bytes(64)) == 2
    prog.pin(tmp_path / "p")
    prog.close()
    prog.close()
    assert errno_of(prog, bytes(64)) == errno.EBADF
    assert errno_of(lambda: prog.fd) == errno.EBADF
    assert "closed" in repr(prog)
    with Program.from_pin(tmp_path / "p") as pinned:
        assert pinned(bytes(64)) == 2
    pyebpf.unpin(tmp_path / "p")
    assert errno_of(Program.from_id, number) == errno.ENOENT


def test_a_dropped_program_goes() -> None:
    number = Program.load(PASS, "xdp").id
    assert errno_of(Program.from_id, number) == errno.ENOENT


def test_info_counts_runs_while_statistics_are_on() -> None:
    with Program.load(PASS, "xdp") as prog:
        switch = sc.bpf_enable_stats()
        prog.run_batch(np.zeros((10, 64), np.uint8))
        sc.close(switch)
        info = prog.info
        assert (info.run_cnt, info.verified_insns, info.type) == (10, 2, ProgType.XDP)
        assert info.run_time_ns > 0


def test_program_type_that_the_verifier_does_not_know_is_unsupported_and_not_refused() -> None:
    with pytest.raises(pyebpf.VerifierError, match="sk_lookup") as caught:
        Program.load("r0 = 1\n exit", "sk_lookup")
    assert caught.value.unsupported


def test_program_over_a_verify_only_map_is_verify_only() -> None:
    text = COUNT.replace("*(u32 *)(r10 - 4) = 0", "*(u64 *)(r10 - 8) = 0").replace("r2 += -4", "r2 += -8")
    with Map.create("lpm_trie", 8, 8, 1, 1) as trie, Program.load(text, "xdp", maps={"counts": trie}) as prog:
        assert not prog.runnable
        with pytest.raises(pyebpf.Error, match="LPM_TRIE"):
            prog.test_run(bytes(64))


def test_types_by_section_name() -> None:
    for name, wanted in (("tc", ProgType.SCHED_CLS), ("socket", ProgType.SOCKET_FILTER), (6, ProgType.XDP)):
        with Program.load(PASS, name) as prog:
            assert prog.type is wanted
    assert errno_of(Program.load, PASS, "no/such") == errno.EINVAL


def test_caps() -> None:
    assert errno_of(Program.load, PASS, "kprobe", caps="bpf") == errno.EPERM
    assert errno_of(Program.load, PASS, "xdp", caps="none") == errno.EPERM
    with Program.load("r0 = 0\n exit", "socket_filter", caps="none") as prog:
        assert prog.type is ProgType.SOCKET_FILTER


# Attaching: the runtime's side of it, with targets of the test's own.


class Place:
    """Somewhere to attach: keeps the programs."""

    def __init__(self) -> None:
        self.here: list[ProgObj] = []

    def attach(self, prog: ProgObj, request: AttachRequest) -> "At":
        self.here.append(prog)
        return At(self, prog)


class At:
    def __init__(self, place: Place, prog: ProgObj) -> None:
        self.place, self.prog = place, prog

    def detach(self) -> None:
        self.place.here.remove(self.prog)

    def replace(self, prog: ProgObj) -> None:
        self.place.here[self.place.here.index(self.prog)] = prog
        self.prog = prog


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    targets = runtime().targets

    def probe(target: object) -> Any:
        return (LinkType.CUSTOM, place.attach) if target is place else None

    targets.objects.append(probe)
    targets.links[AttachType.XDP] = (LinkType.XDP, place.attach)
    old = targets.raw_tracepoint
    targets.raw_tracepoint = place.attach
    yield place
    targets.objects.remove(probe)
    del targets.links[AttachType.XDP]
    targets.raw_tracepoint = old


def test_link_holds_its_program_until_it_is_detached(place: Place) -> None:
    prog = Program.load(PASS, "xdp")
    number = prog.id
    with prog.attach(place) as link:
        prog.close()
        assert [p.id for p in place.here] == [number]
        assert link.attached
        assert sc.bpf_obj_get_info(link.fd, attr.LINK_INFO)["prog_id"] == number
        Program.from_id(number).close()
    assert not place.here
    assert not link.attached
    link.detach()
    assert errno_of(Program.from_id, number) == errno.ENOENT


def test_dropped_link_detaches(place: Place) -> None:
    with Program.load(PASS, "xdp") as prog:
        prog.attach(place)
        assert not place.here


def test_attaching_where_nothing_attaches() -> None:
    with Program.load(PASS, "xdp") as prog:
        assert errno_of(prog.attach, object()) == 524
        assert errno_of(sc.bpf_link_create, prog.fd, 1, AttachType.SK_LOOKUP) == 524
        assert errno_of(sc.bpf_link_create, prog.fd, 1, 99) == errno.EINVAL
        assert errno_of(sc.bpf_prog_attach, prog.fd, 1, AttachType.SK_LOOKUP) == 524


def test_links_by_bpf(place: Place) -> None:
    with Program.load(PASS, "xdp", name="a") as a, Program.load(PASS, "xdp", name="b") as b:
        fd = sc.bpf_link_create(a.fd, 1, AttachType.XDP)
        info = sc.bpf_obj_get_info(fd, attr.LINK_INFO)
        assert (info["type"], info["prog_id"]) == (LinkType.XDP, a.id)
        again = sc.bpf_link_get_fd_by_id(int(info["id"]))
        sc.close(fd)
        sc.bpf_link_update(again, b.fd)
        assert [p.name for p in place.here] == ["b"]
        with Program.load("r0 = 0\n exit", "tc") as other:
            assert errno_of(sc.bpf_link_update, again, other.fd) == errno.EINVAL
        sc.bpf_link_detach(again)
        assert not place.here
        assert errno_of(sc.bpf_link_update, again, a.fd) == errno.ENOLINK
        sc.close(again)


def test_raw_tracepoint_open(place: Place) -> None:
    with Program.load("r0 = 0\n exit", "raw_tracepoint") as prog, Program.load(PASS, "xdp") as xdp:
        fd = sc.bpf_raw_tracepoint_open("kfree_skb", prog.fd)
        assert len(place.here) == 1
        room = ctypes.create_string_buffer(32)
        info = sc.bpf_obj_get_info(fd, attr.LINK_INFO, name=ctypes.addressof(room), name_len=32)
        assert room.value == b"kfree_skb"
        assert info["name_len"] == 10
        sc.close(fd)
        assert not place.here
        assert errno_of(sc.bpf_raw_tracepoint_open, "kfree_skb", xdp.fd) == errno.EINVAL


def test_prog_attach_detach_query() -> None:
    attached: list[int] = []

    def attach(prog: ProgObj, request: AttachRequest) -> None:
        attached.append(prog.id)

    def detach(prog: ProgObj | None, request: AttachRequest) -> None:
        attached.clear()

    targets = runtime().targets.progs
    targets[AttachType.FLOW_DISSECTOR] = ProgTarget(attach, detach, lambda request: list(attached))
    try:
        with Program.load(PASS, "xdp") as prog:
            sc.bpf_prog_attach(prog.fd, 0, AttachType.FLOW_DISSECTOR)
            assert attached == [prog.id]
            assert sc.bpf_prog_query(0, AttachType.FLOW_DISSECTOR) == [prog.id]
            sc.bpf_prog_detach(0, AttachType.FLOW_DISSECTOR)
            assert sc.bpf_prog_query(0, AttachType.FLOW_DISSECTOR) == []
    finally:
        del targets[AttachType.FLOW_DISSECTOR]


def test_setsockopt_reaches_the_registered_target() -> None:
    seen: list[tuple[int, int | None]] = []
    key = (socket.SOL_SOCKET, 50)
    old = runtime().targets.sockopts.get(key)
    runtime().targets.sockopts[key] = lambda fd, prog: seen.append((fd, prog.id if prog else None))
    left, right = socket.socketpair()
    try:
        with Program.load("r0 = 0\n exit", "socket_filter") as prog:
            pyebpf.setsockopt(left, *key, prog.fd)
            assert seen == [(left.fileno(), prog.id)]
            assert errno_of(pyebpf.setsockopt, left, *key, 12345) == errno.EBADF
        assert errno_of(pyebpf.setsockopt, left, socket.SOL_SOCKET, 9999, 0) == errno.ENOPROTOOPT
    finally:
        left.close()
        right.close()
        if old is None:
            del runtime().targets.sockopts[key]
        else:
            runtime().targets.sockopts[key] = old


def test_trace_pipe_and_format_stack() -> None:
    text = """
        *(u64 *)(r10 - 8) = 0
        r1 = 0x0a6968
        *(u64 *)(r10 - 8) = r1
        r1 = r10
        r1 += -8
        r2 = 4
        call trace_printk
        r0 = 0
        exit
    """
    with Program.load(text, "tracepoint") as prog:
        prog(bytes(64))
    lines = list(pyebpf.trace_pipe(timeout=0.2))
    assert [line for line in lines if line.endswith("bpf_trace_printk: hi")], lines
    with Map.create("stack_trace", 4, 8 * 32, 16) as stacks:
        take = "r6 = r1\n r1 = r6\n r2 = stacks ll\n r3 = 0\n call get_stackid\n exit"
        with Program.load(take, "tracepoint", maps={"stacks": stacks}) as prog:
            number = prog(bytes(64))
            assert "PyEval" in pyebpf.format_stack(number, stacks)
            assert errno_of(pyebpf.format_stack, 2**32 - 14, stacks) == errno.ENOENT


def test_forked_child_runs_programs() -> None:
    with Map.create("array", "u4", "u8", 1) as counts, Program.load(COUNT, "xdp", maps={"counts": counts}) as prog:
        prog(bytes(64))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                prog(bytes(64))
                code = 0 if counts[0] == 2 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert counts[0] == 1
