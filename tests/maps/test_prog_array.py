"""PROG_ARRAY: references to programs, tail calls through them, replacement under running programs."""

import gc
import struct
import threading

import pytest

from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import BPF_EXIST, BPF_NOEXIST, MapType, ProgType
from tests.maps import progs
from tests.maps.both import outcome

CALL = "r2 = jumps ll\n r3 = {index}\n call tail_call\n r0 = -1\n exit"
ENGINES = pytest.mark.parametrize("engine", [0, 1], ids=["interp", "jit"])


def u32(n: int) -> bytes:
    return struct.pack("<I", n)


def constant(n: int, engine: int, type: ProgType = ProgType.SYSCALL) -> NativeProg:
    return progs.native(f"r0 = {n}\n exit", {}, engine, type)


def result(prog: NativeProg) -> int:
    value = prog.test_run(b"", bytes(64), 1)[0] & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


@ENGINES
def test_a_tail_call_goes_to_what_is_there_and_falls_through_where_nothing_is(engine: int) -> None:
    jumps = NativeMap(MapType.PROG_ARRAY, 4, 4, 4)
    callers = [progs.native(CALL.format(index=i), {"jumps": jumps}, engine) for i in range(6)]
    jumps.set_prog(u32(1), constant(11, engine), 1001)
    jumps.set_prog(u32(3), constant(13, engine), 1003)
    assert [result(c) for c in callers] == [-1, 11, -1, 13, -1, -1]
    assert jumps.lookup(u32(1)) == u32(1001)
    assert jumps.lookup(u32(0)) is None
    jumps.set_prog(u32(1), constant(21, engine), 1021)
    jumps.erase(u32(3))
    assert [result(c) for c in callers[:4]] == [-1, 21, -1, -1]


@ENGINES
def test_updates_are_refused_as_linux_does(engine: int) -> None:
    jumps = NativeMap(MapType.PROG_ARRAY, 4, 4, 2)
    prog = constant(1, engine)
    assert outcome(lambda: jumps.set_prog(u32(2), prog)) == "E2BIG"
    for flags in (BPF_NOEXIST, BPF_EXIST):
        assert outcome(lambda f=flags: jumps.set_prog(u32(0), prog, 0, f)) == "EINVAL"
    assert outcome(lambda: jumps.erase(u32(0))) == "ENOENT"
    assert outcome(lambda: jumps.erase(u32(2))) == "E2BIG"
    jumps.set_prog(u32(0), prog)
    other_type, other_engine = constant(1, engine, ProgType.XDP), constant(1, 1 - engine)
    assert outcome(lambda: jumps.set_prog(u32(1), other_type)) == "EINVAL"
    assert outcome(lambda: jumps.set_prog(u32(1), other_engine)) == "EINVAL"


def test_the_first_program_that_uses_the_array_decides_its_type() -> None:
    jumps = NativeMap(MapType.PROG_ARRAY, 4, 4, 2)
    caller = progs.native(CALL.format(index=0), {"jumps": jumps}, 1)
    assert outcome(lambda: jumps.set_prog(u32(0), constant(1, 1, ProgType.XDP))) == "EINVAL"
    assert outcome(lambda: progs.native(CALL.format(index=0), {"jumps": jumps}, 1, ProgType.XDP)) == "EINVAL"
    jumps.set_prog(u32(0), constant(5, 1))
    assert result(caller) == 5


def test_the_array_holds_its_programs_and_lets_go_when_the_user_does() -> None:
    jumps, counts = NativeMap(MapType.PROG_ARRAY, 4, 4, 2), NativeMap(MapType.ARRAY, 4, 8, 1)
    jumps.set_prog(u32(0), progs.native("r1 = m ll\n r0 = 0\n exit", {"m": counts}, 1))
    gc.collect()
    assert counts.refs == 2
    jumps.erase(u32(0))
    constant(0, 1)  # a later retirement at the latest
    assert counts.refs == 1
    jumps.set_prog(u32(1), progs.native("r1 = m ll\n r1 = jumps ll\n r0 = 0\n exit", {"m": counts, "jumps": jumps}, 1))
    assert counts.refs == 2
    del jumps
    gc.collect()
    constant(0, 1)
    assert counts.refs == 1


@ENGINES
def test_programs_are_replaced_and_deleted_while_others_tail_call_them(engine: int) -> None:
    jumps = NativeMap(MapType.PROG_ARRAY, 4, 4, 1)
    caller = progs.native(CALL.format(index=0), {"jumps": jumps}, engine)
    seen: set[int] = set()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            seen.update(caller.run_batch([bytes(64)] * 512).tolist())

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(400):
        jumps.set_prog(u32(0), constant(100 + turn, engine))
        if turn % 3 == 0:
            jumps.erase(u32(0))
    stop.set()
    for thread in threads:
        thread.join()
    assert {value & 0xFFFFFFFF for value in seen} <= {0xFFFFFFFF} | set(range(100, 500))
