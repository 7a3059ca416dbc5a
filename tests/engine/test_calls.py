"""Tail calls, bpf_loop, local calls and budgets, on both engines and against Linux."""

import signal
import time

import pytest

from pyebpf.errors import Error
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import MapType, ProgType
from pyebpf.spec.verified import ProgFlag
from tests import linux, require
from tests.engine.images import array, load_linux, load_native

PACKET = bytes(64)
XDP = ProgType.XDP


@pytest.fixture(params=[0, 1], ids=["interp", "jit"])
def engine(request: pytest.FixtureRequest) -> int:
    return int(request.param)


# Counts in the map, then calls entry {index} of the array; the return value is that of who falls through.
CHAIN = """
    r6 = r1
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r1 = r6
    r2 = progs ll
    r3 = {index}
    call tail_call
    r0 = {index}
    r0 += 100
    exit
    out: r0 = 0
    exit
"""


def chain_on_linux(index: int, filled: bool) -> tuple[int, int]:
    with linux.create_map("array", 4, 8, 1) as counts, linux.create_map("prog_array", 4, 4, 2) as progs:
        text = CHAIN.format(index=index)
        with load_linux(text, XDP, {"counts": counts, "progs": progs}) as prog:
            if filled:
                progs.update(0, prog.fd)
            retval = prog.test_run(data=PACKET).retval
            return retval, int.from_bytes(counts.lookup(0), "little")


@pytest.mark.parametrize(("index", "filled"), [(0, True), (0, False), (1, True), (2, True), (0x7FFFFFFF, True)])
def test_tail_calls_and_their_limit_are_as_on_linux(engine: int, index: int, filled: bool) -> None:
    require.linux()
    counts, progs = array(), NativeMap(MapType.PROG_ARRAY, 4, 4, 2)
    prog = load_native(CHAIN.format(index=index), XDP, {"counts": counts, "progs": progs}, engine=engine)
    if filled:
        progs.set_prog(bytes(4), prog)
    for _ in range(2):  # the limit is each run's
        counts.update(bytes(4), bytes(8))
        retval = prog.test_run(PACKET)[0]
        found = counts.lookup(bytes(4))
        assert found is not None
        assert (retval, int.from_bytes(found, "little")) == chain_on_linux(index, filled)
    progs.erase(bytes(4)) if filled else None


IN_FUNCTION = """
    r6 = r1
    call f
    r0 += 1000
    exit
    f: r6 = r1
    r2 = progs ll
    r3 = 0
    call tail_call
    r0 = 5
    exit
"""
TARGET = "r6 = r1\n r0 = 7\n call g\n exit\n g: *(u64 *)(r10 - 8) = 7\n r0 = *(u64 *)(r10 - 8)\n exit"


@pytest.mark.parametrize("filled", [True, False])
def test_a_tail_call_out_of_a_function_returns_to_its_caller(engine: int, filled: bool) -> None:
    require.linux()
    progs = NativeMap(MapType.PROG_ARRAY, 4, 4, 1)
    prog, target = (
        load_native(IN_FUNCTION, XDP, {"progs": progs}, engine=engine),
        load_native(TARGET, XDP, engine=engine),
    )
    with (
        linux.create_map("prog_array", 4, 4, 1) as theirs,
        load_linux(TARGET, XDP) as their_target,
        load_linux(IN_FUNCTION, XDP, {"progs": theirs}) as their_prog,
    ):
        if filled:
            progs.set_prog(bytes(4), target)
            theirs.update(0, their_target.fd)
        assert prog.test_run(PACKET)[0] == their_prog.test_run(data=PACKET).retval == (1007 if filled else 1005)


def test_a_tail_call_to_another_type_falls_through(engine: int) -> None:
    progs = NativeMap(MapType.PROG_ARRAY, 4, 4, 2)
    prog = load_native(CHAIN.format(index=0), XDP, {"counts": array(), "progs": progs}, engine=engine)
    other = load_native("r0 = 9\n exit", ProgType.SCHED_CLS, engine=engine)
    with pytest.raises(Error):
        progs.set_prog(bytes(4), prog)
        progs.set_prog((1).to_bytes(4, "little"), other)
    assert prog.run(PACKET) in (100, 9 + 91)


LOOP = """
    *(u64 *)(r10 - 8) = 0
    r1 = {n}
    r2 = body ll
    r3 = r10
    r3 += -8
    r4 = {flags}
    call loop
    r1 = *(u64 *)(r10 - 8)
    r1 <<= 20
    r0 += r1
    exit
    body: r3 = *(u64 *)(r2 + 0)
    r3 += 1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    if r1 != {stop} goto done
    r0 = 1
    done: exit
"""


def loop_text(n: int, stop: int, flags: int) -> str:
    return LOOP.format(n=n, stop=stop, flags=flags)


@pytest.mark.parametrize(
    ("n", "stop", "flags"),
    [(0, 5, 0), (1, 5, 0), (1000, -1, 0), (1000, 7, 0), (1000, 999, 0), (10, 3, 1), (8388608, 3, 0), (8388609, 3, 0)],
)
def test_bpf_loop_is_as_on_linux(engine: int, n: int, stop: int, flags: int) -> None:
    require.linux()
    text = loop_text(n, stop, flags)
    with load_linux(text, XDP) as prog:
        want = prog.test_run(data=PACKET).retval
    assert load_native(text, XDP, engine=engine).test_run(PACKET)[0] == want


def unsafe(text: str, engine: int) -> NativeProg:
    return NativeProg(encode(assemble(text)), type=ProgType.SOCKET_FILTER, flags=ProgFlag.NEEDS_BUDGET, engine=engine)


ENDLESS = {
    "jump": "again: goto again",
    "condition": "r0 = 0\n again: if r0 == 0 goto again\n exit",
    "recursion": "call f\n exit\n f: call f\n exit",
    "callback": "r1 = 1000\n r2 = f ll\n r3 = 0\n r4 = 0\n call loop\n exit\n f: r0 = 0\n again: goto again",
}


@pytest.mark.parametrize("name", ["jump", "condition", "callback"])
def test_an_exhausted_budget_ends_the_run(engine: int, name: str) -> None:
    prog = unsafe(ENDLESS[name], engine)
    assert prog.budget == 1 << 30
    for budget in (0, 1, 1000, (1 << 20) + 5):
        prog.budget = budget
        for _ in range(2):
            with pytest.raises(Error, match="budget") as caught:
                prog.run(PACKET)
            assert caught.value.errno == 122  # EDQUOT


def test_a_budget_that_suffices_ends_nothing(engine: int) -> None:
    prog = unsafe("r0 = 0\n again: r0 += 1\n if r0 < 100 goto again\n exit", engine)
    prog.budget = 99
    assert prog.run(PACKET) == 100
    assert prog.run_batch([PACKET] * 4).tolist() == [100] * 4
    prog.budget = 98
    with pytest.raises(Error, match="budget"):
        prog.run(PACKET)
    with pytest.raises(Error, match="event 0"):
        prog.run_batch([PACKET] * 4)


def test_more_than_eight_frames_end_an_unverified_run(engine: int) -> None:
    with pytest.raises(Error) as caught:
        unsafe(ENDLESS["recursion"], engine).run(PACKET)
    assert caught.value.errno == 7  # E2BIG, as Linux's verifier says of nine


def test_a_signal_handlers_exception_ends_an_endless_run(engine: int) -> None:
    class Stop(Exception):
        pass

    def handler(*_: object) -> None:
        raise Stop

    prog = unsafe(ENDLESS["jump"], engine)
    prog.budget = 1 << 62
    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = time.monotonic()
        with pytest.raises(Stop):
            prog.run(PACKET)
        assert time.monotonic() - start < 30
    finally:
        signal.signal(signal.SIGALRM, old)
    prog.budget = 3
    with pytest.raises(Error, match="budget"):  # nothing is left behind
        prog.run(PACKET)


def test_may_goto_ends_a_loop(engine: int) -> None:
    require.linux()
    text = "r0 = 0\n again: may_goto out\n r0 = 1\n goto again\n out: exit"
    assert load_native(text, XDP, engine=engine).test_run(PACKET)[0] == 1
