"""How many machine instructions programs execute: a measure of speed without noise, so that it cannot slip unseen.

The bounds are what was measured when they were written, with 2 % to spare; they may be lowered.
"""

import ctypes
import pathlib
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import replace

import pytest

from pyebpf import _baseline
from pyebpf.bench import data, shapes
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import decode, encode
from pyebpf.loader import CollectionSpec
from pyebpf.native import NativeProg
from pyebpf.spec.contexts import LAYOUTS
from pyebpf.spec.kinds import ProgType
from tests.jit.machine import JIT, compile_text, cpu_has

Counter = Callable[[NativeProg, int, int], tuple[int, int]]


@pytest.fixture(scope="module")
def stepper(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """tests/jit/step.c."""
    if not cpu_has("bmi2", "movbe"):
        pytest.skip("the counts are those of a CPU with BMI2 and MOVBE")
    library = tmp_path_factory.mktemp("step") / "step.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    source = pathlib.Path(__file__).parent / "step.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    loaded = ctypes.PyDLL(str(library))  # keeps the GIL: nobody else's instructions
    loaded.step_count.restype = loaded.step_end.restype = ctypes.c_uint64
    return loaded


@pytest.fixture(scope="module")
def executed(stepper: ctypes.CDLL) -> Counter:
    """(instructions, R0) of one bare run."""

    def run(prog: NativeProg, r1: int = 0, r2: int = 0) -> tuple[int, int]:
        r0 = ctypes.c_uint64()
        code, n64 = prog.entry_raw, ctypes.c_uint64
        n = stepper.step_count(n64(code), n64(r1), n64(r2), n64(code), n64(len(prog.jited)), ctypes.byref(r0))
        return int(n), r0.value

    return run


XORSHIFT = """
    r0 = r1
    r2 = 0
    top: r3 = r0
    r3 <<= 13
    r0 ^= r3
    r3 = r0
    r3 >>= 7
    r0 ^= r3
    r3 = r0
    r3 <<= 17
    r0 ^= r3
    r2 += 1
    if r2 != 100 goto top
    exit
"""
COLLATZ = """
    r0 = 0
    top: if r1 == 1 goto out
    r2 = r1
    r2 &= 1
    if r2 == 0 goto even
    r2 = r1
    r2 <<= 1
    r1 += r2
    r1 += 1
    r0 += 1
    goto top
    even: r1 >>= 1
    r0 += 1
    goto top
    out: exit
"""
SIEVE = """
    r0 = 0
    r3 = 2
    outer: r4 = r1
    r4 += r3
    r5 = *(u8 *)(r4 + 0)
    if r5 != 0 goto next
    r0 += 1
    r6 = r3
    r6 += r3
    inner: if r6 >= 256 goto next
    r4 = r1
    r4 += r6
    *(u8 *)(r4 + 0) = 1
    r6 += r3
    goto inner
    next: r3 += 1
    if r3 < 256 goto outer
    exit
"""


def xorshift(x: int) -> int:
    for _ in range(100):
        x ^= x << 13 & (1 << 64) - 1
        x ^= x >> 7
        x ^= x << 17 & (1 << 64) - 1
    return x


def test_counts_are_exact(executed: Counter) -> None:
    assert executed(compile_text("r0 = r1\nexit"), 5, 0) == (2, 5)
    loop = "r0 = 0\ntop: r0 += 2\nif r0 != 20 goto top\nexit"
    assert executed(compile_text(loop), 0, 0) == (1 + 10 * 3 + 1, 20)


def test_xorshift(executed: Counter) -> None:
    n, r0 = executed(compile_text(XORSHIFT), 88172645463325252, 0)
    assert r0 == xorshift(88172645463325252)
    assert n <= 1225


def test_collatz(executed: Counter) -> None:
    n, r0 = executed(compile_text(COLLATZ), 27, 0)
    assert r0 == 111  # steps from 27 to 1
    assert n <= 770


def test_byte_sieve(executed: Counter) -> None:
    table = ctypes.create_string_buffer(256)
    n, r0 = executed(compile_text(SIEVE), ctypes.addressof(table), 0)
    assert r0 == 54  # primes below 256
    assert n <= 3535


def dissector() -> NativeProg:
    """The flow dissector, its loads of packet pointers put where our context has them."""
    layout = LAYOUTS[ProgType.FLOW_DISSECTOR]
    places = {f.offset: layout.native_offset(f.native) for f in layout.fields if f.native}
    insns = list(decode(CollectionSpec.load(data.dissector()).programs["dissect_flow"].insns))
    for n, insn in enumerate(insns[:8]):
        if insn.opcode in (0x61, 0x79) and insn.src == 1 and insn.off in places:
            insns[n] = replace(insn, opcode=0x79, off=places[insn.off])
    return NativeProg(encode(insns), type=ProgType.FLOW_DISSECTOR, engine=JIT)


def test_flow_dissector(stepper: ctypes.CDLL) -> None:
    """Packets of 8 shapes: the same keys and hash as the native build, in that many instructions together."""
    prog = dissector()
    total = 0
    for shape in shapes.SHAPES:
        stepper.step_begin(ctypes.c_uint64(prog.entry_raw), ctypes.c_uint64(len(prog.jited)))
        result = _baseline.run(prog.entry_raw, _baseline.CTX_SKB, shape)
        total += stepper.step_end()
        assert result == _baseline.dissect(shape)
    assert total <= 1545
    assert len(prog.jited) <= 1640


def test_code_is_small() -> None:
    """Bytes an instruction, for programs without helpers; Linux's JIT takes 3.9 to 4.4."""
    insns = [n for text in (XORSHIFT, COLLATZ, SIEVE) for n in assemble(text)]
    nbytes = sum(len(compile_text(text).jited) for text in (XORSHIFT, COLLATZ, SIEVE))
    assert nbytes / len(insns) <= 3.6
