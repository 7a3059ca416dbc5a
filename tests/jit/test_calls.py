"""Calls: frames, registers that survive, functions, callbacks, tail calls, early ends. Both engines, one table."""

import errno
import itertools

import pytest

from pyebpf import Error
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import MapType
from pyebpf.spec.verified import ProgFlag
from tests.jit.machine import JIT, compile_text, emitted

ENGINES = pytest.mark.parametrize("engine", [0, JIT], ids=["interp", "jit"])
BUDGET = ProgFlag.NEEDS_BUDGET
DELETE = "*(u64 *)(r10 - 8) = 3\nr2 = r10\nr2 += -8\nr1 = m ll\ncall map_delete_elem\n"


def hash_map(**entries: int) -> NativeMap:
    m = NativeMap(MapType.HASH, 8, 8, 64)
    for key, value in entries.items():
        m.update(int(key[1:]).to_bytes(8, "little"), value.to_bytes(8, "little"))
    return m


@pytest.mark.parametrize("saved", [regs for n in range(5) for regs in itertools.combinations((6, 7, 8, 9), n)])
def test_the_stack_is_aligned_at_calls_and_registers_come_back_in_order(saved: tuple[int, ...]) -> None:
    text = "".join(f"r{r} = r1\n" for r in saved) + DELETE + "".join(f"r0 += r{r}\n" for r in saved) + "exit"
    code = emitted(text, {"m": hash_map()})
    pushes = [line.split()[1] for line in code if line.startswith("push")]
    below = next(int(line.split(", ")[1], 16) for line in code if line.startswith("sub rsp"))
    assert (8 + 8 * len(pushes) + below) % 16 == 0
    end = code.index("ret")
    pops = [line.split()[1] for line in code[end - len(pushes) : end]]
    assert pops == pushes[::-1]
    assert {"rbx", "r13", "r14", "r15"} >= set(pushes) - {"rbp", "r12"}
    assert len(set(pushes) - {"rbp", "r12"}) == len(saved)


FUNCTIONS = {
    "registers R6 to R9 and R10 survive": (
        """
        r6 = 6
        r7 = 7
        r8 = 8
        r9 = 9
        *(u64 *)(r10 - 8) = 100
        r1 = 1
        call f
        r0 += r6
        r0 += r7
        r0 += r8
        r0 += r9
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
        f: r6 = 1000
        r7 = 1000
        r8 = 1000
        r9 = 1000
        *(u64 *)(r10 - 8) = 1000
        r0 = r1
        exit
        """,
        1 + 6 + 7 + 8 + 9 + 100,
    ),
    "factorial by recursion": (
        """
        r1 = 7
        call f
        exit
        f: r0 = 1
        if r1 == 0 goto out
        r6 = r1
        r1 -= 1
        call f
        r0 *= r6
        out: exit
        """,
        errno.E2BIG,  # 8 frames and main: one too many
    ),
    "factorial by recursion, within the frames": (
        """
        r1 = 6
        call f
        exit
        f: r0 = 1
        if r1 == 0 goto out
        r6 = r1
        r1 -= 1
        call f
        r0 *= r6
        out: exit
        """,
        720,
    ),
    "the first function is called too": (
        """
        r6 = r3
        r0 = r3
        if r3 == 4 goto out
        r3 += 1
        call -5
        r0 += r6
        out: exit
        """,
        4 + 3 + 2 + 1,
    ),
    "a loop to the first instruction": (
        """
        top: r0 += 1
        if r0 < 10 goto top
        exit
        """,
        10,
    ),
    "a loop without end": ("top: r0 += 1\ngoto top", errno.EDQUOT),
    "a loop without end in a function": (
        "r6 = 5\ncall f\nr0 = r6\nexit\nf: r6 = 1\ntop: r0 += r6\ngoto top",
        errno.EDQUOT,
    ),
    "recursion without end": ("f: call -1\nexit", errno.E2BIG),
    "may_goto ends a loop": ("r0 = 0\ntop: may_goto out\nr0 += 1\ngoto top\nout: exit", 8 * 1024 * 1024),
    "may_goto stays taken": (
        "r0 = 0\ntop: may_goto out\nr0 += 1\ngoto top\nout: may_goto end\nr0 = 1\nend: exit",
        8 * 1024 * 1024,
    ),
}


def outcome(prog: NativeProg) -> int:
    """R0, or the errno that ended the run."""
    try:
        return prog.run_raw()
    except Error as error:
        assert error.errno is not None
        return error.errno


@ENGINES
@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions(case: str, engine: int) -> None:
    text, expected = FUNCTIONS[case]
    prog = compile_text(text, flags=BUDGET, engine=engine)
    prog.budget = 1 << 25 if "may_goto" in case else 100_000
    assert outcome(prog) == expected
    assert outcome(prog) == expected  # nothing is left over


@ENGINES
def test_a_callback_gets_its_arguments_and_keeps_the_registers(engine: int) -> None:
    m = hash_map(k1=10, k2=20, k3=30)
    text = """
        r6 = 1
        r7 = 2
        *(u64 *)(r10 - 8) = 0
        r1 = m ll
        r2 = each ll
        r3 = r10
        r3 += -8
        r4 = 0
        call for_each_map_elem
        r1 = *(u64 *)(r10 - 8)
        r0 *= 1000
        r0 += r1
        r0 += r6
        r0 += r7
        exit
        each: r6 = *(u64 *)(r3 + 0)
        r7 = r4
        r1 = r6
        call twice
        r1 = *(u64 *)(r7 + 0)
        r1 += r0
        *(u64 *)(r7 + 0) = r1
        r0 = 0
        exit
        twice: r0 = r1
        r0 += r1
        exit
        """
    assert compile_text(text, {"m": m}, engine=engine).run_raw() == 3000 + 2 * 60 + 3


@ENGINES
def test_a_run_that_ends_in_a_callback_ends_as_a_whole(engine: int) -> None:
    m = hash_map(k1=10, k2=20)
    text = """
        *(u64 *)(r10 - 8) = 0
        r6 = 77
        r1 = m ll
        r2 = each ll
        r3 = 0
        r4 = 0
        call for_each_map_elem
        *(u64 *)(r10 - 8) = 3
        r1 = m ll
        r2 = r10
        r2 += -8
        r3 = r2
        r4 = 0
        call map_update_elem
        r0 = r6
        exit
        each: goto each
        """
    prog = compile_text(text, {"m": m}, flags=BUDGET, engine=engine)
    prog.budget = 1000
    assert outcome(prog) == errno.EDQUOT
    assert len(m) == 2


def prog_array(**progs: NativeProg) -> NativeMap:
    m = NativeMap(MapType.PROG_ARRAY, 4, 4, 8)
    for key, prog in progs.items():
        m.set_prog(int(key[1:]).to_bytes(4, "little"), prog)
    return m


TAIL = "r1 = 0\nr2 = progs ll\nr3 = {index}\ncall tail_call\n"


@ENGINES
def test_a_tail_call_does_not_come_back(engine: int) -> None:
    target = compile_text("r6 = 5\nr7 = 6\nr0 = 42\nexit", engine=engine)
    for spare in ("", "r6 = 1\nr7 = 2\nr8 = 3\n*(u64 *)(r10 - 64) = 1\n"):
        prog = compile_text(
            spare + TAIL.format(index=1) + "r0 = 7\nexit", {"progs": prog_array(k1=target)}, engine=engine
        )
        assert prog.run_raw() == 42


@ENGINES
@pytest.mark.parametrize("index", [0, 2, 8, 1 << 31])
def test_a_tail_call_to_nothing_falls_through(engine: int, index: int) -> None:
    target = compile_text("r0 = 42\nexit", engine=engine)
    text = "r6 = 3\n" + TAIL.format(index=f"{index - (1 << 32) if index >> 31 else index}") + "r0 = r6\nexit"
    assert compile_text(text, {"progs": prog_array(k1=target)}, engine=engine).run_raw() == 3


@ENGINES
def test_thirty_three_tail_calls_are_the_limit(engine: int) -> None:
    progs, counts = NativeMap(MapType.PROG_ARRAY, 4, 4, 1), NativeMap(MapType.ARRAY, 4, 8, 1)
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = counts ll
        call map_lookup_elem
        r1 = *(u64 *)(r0 + 0)
        r1 += 1
        *(u64 *)(r0 + 0) = r1
        """
    prog = compile_text(text + TAIL.format(index=0) + "r0 = 9\nexit", {"progs": progs, "counts": counts}, engine=engine)
    progs.set_prog(bytes(4), prog)
    assert prog.run_raw() == 9
    assert counts.lookup(bytes(4)) == (34).to_bytes(8, "little")
    progs.erase(bytes(4))


@ENGINES
def test_a_tail_call_out_of_a_function_returns_to_its_caller(engine: int) -> None:
    target = compile_text("r6 = 1\nr7 = 1\nr8 = 1\nr9 = 1\nr0 = 42\nexit", engine=engine)
    text = "r6 = 100\nr9 = 1000\ncall f\nr0 += r6\nr0 += r9\nexit\nf: r6 = 5\n" + TAIL.format(index=1) + "r0 = 7\nexit"
    prog = compile_text(text, {"progs": prog_array(k1=target)}, engine=engine)
    assert prog.run_raw() == 1142
