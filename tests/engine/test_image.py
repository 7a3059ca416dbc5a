"""Images from strangers: each malformed one is refused with the instruction and what was wanted."""

import random
import struct

import pytest

from pyebpf.errors import Error
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import Insn, encode
from pyebpf.isa.table import BY_NAME, BY_OPCODE
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import MapType
from pyebpf.spec.verified import FactFlag, ProgFlag
from tests.engine.images import array

EXIT = Insn(0x95)
MOV = Insn(0xB7)
LD64 = [Insn(0x18, 1, 0, 0, 5), Insn(0)]


def op(name: str) -> int:
    return BY_NAME[name].opcode


MALFORMED = {
    "empty": ([], "0 instructions"),
    "unknown opcode": ([MOV, Insn(0xFF), EXIT], "insn 1: unknown opcode 0xff"),
    "unknown atomic": ([Insn(op("ATOMIC_ADD64"), 10, 1, -8, 0x77), EXIT], "insn 0: unknown opcode 0xdb"),
    "unknown call kind": ([Insn(0x85, 0, 3, 0, 1), EXIT], "insn 0: unknown opcode 0x85 .src 3"),
    "no such register": ([Insn(0xB7, 11), EXIT], "insn 0: register R11"),
    "no such source": ([Insn(0xBF, 0, 15), EXIT], "insn 0: register R15"),
    "writes R10": ([Insn(0xB7, 10), EXIT], "insn 0: MOV64_K writes R10"),
    "loads into R10": ([Insn(0x79, 10, 1), EXIT], "insn 0: LDX_DW writes R10"),
    "fetches into R10": (
        [Insn(op("ATOMIC_FETCH_ADD64"), 10, 10, -8, 1), EXIT],
        "insn 0: ATOMIC_FETCH_ADD64 writes R10",
    ),
    "reserved off": ([Insn(0x07, 1, 0, 4, 1), EXIT], "insn 0: ADD64_K uses reserved fields"),
    "reserved imm": ([Insn(0x0F, 1, 2, 0, 1), EXIT], "insn 0: ADD64_X uses reserved fields"),
    "exit with imm": ([Insn(0x95, imm=1)], "insn 0: EXIT uses reserved fields"),
    "jump behind the end": ([Insn(0x05, off=1), EXIT], "insn 0: target 2, expected 0 to 1"),
    "jump before the start": ([MOV, Insn(0x05, off=-3)], "insn 1: target -1"),
    "long jump outside": ([Insn(0x06, imm=1 << 30), EXIT], "insn 0: target 1073741825"),
    "call outside": ([Insn(0x85, 0, 1, 0, -5), EXIT], "insn 0: target -4"),
    "jump into a constant": ([Insn(0x15, 1, off=1), *LD64, EXIT], "insn 0: target 2 is the second slot"),
    "constant cut off": ([MOV, Insn(0x18)], "insn 1: LD_IMM64 without a second slot"),
    "constant's second half": ([Insn(0x18), MOV, EXIT], "insn 0: LD_IMM64 without a second slot"),
    "falls off the end": ([MOV], "insn 0: a function ends with MOV64_K"),
    "falls off by a condition": ([EXIT, Insn(0x15, 1, off=-2)], "insn 1: a function ends with JEQ64_K"),
    "ends in a constant": ([EXIT, *LD64], "insn 2: a function ends with"),
    "jump between functions": (
        [Insn(0x85, 0, 1, 0, 1), Insn(0x05, off=1), MOV, EXIT],
        "insn 1: jump to 3, expected its own function, 0 to 1",
    ),
    "function reference outside": ([Insn(0x18, 1, 4, 0, 9), Insn(0), EXIT], "insn 0: target 10"),
    "map by fd": ([Insn(0x18, 1, 1, 0, 3), Insn(0), EXIT], "insn 0: LD_MAP_FD cannot run"),
    "no such map": ([Insn(0x18, 1, 5, 0, 2), Insn(0), EXIT], "insn 0: map index 2, expected less than 2"),
    "negative map": ([Insn(0x18, 1, 5, 0, -1), Insn(0), EXIT], "insn 0: map index 4294967295"),
    "value behind the map's": ([Insn(0x18, 1, 6, 0, 0), Insn(0, imm=8), EXIT], "insn 0: offset 8 is outside"),
    "value of a hash": ([Insn(0x18, 1, 6, 0, 1), Insn(0), EXIT], "insn 0: map 1 .hash. has no direct values"),
    "unknown helper": ([Insn(0x85, imm=9999), EXIT], "insn 0: helper unknown#9999"),
    "kfunc": ([Insn(0x85, 0, 2, 0, 3), EXIT], "insn 0: kfunc 3 cannot run"),
    "packet load without a packet": ([Insn(0x20), EXIT], "insn 0: LD_ABS_W needs a packet"),
}


@pytest.mark.parametrize("engine", [0, 1], ids=["interp", "jit"])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_images_are_refused_with_their_place(name: str, engine: int) -> None:
    insns, text = MALFORMED[name]
    maps = [array(), NativeMap(MapType.HASH, 4, 8, 4)]
    with pytest.raises(Error, match=text):
        NativeProg(encode(insns), type=1, flags=ProgFlag.NEEDS_BUDGET, maps=maps, engine=engine)


def test_sizes_and_arguments_are_checked() -> None:
    good = encode([MOV, EXIT])
    for args, options in (
        ((good[:9],), {}),
        ((good, bytes(8)), {}),
        ((good,), {"engine": 2}),
        ((good,), {"subprogs": [(2, 0, False)]}),
        ((good * 500001,), {}),
    ):
        with pytest.raises(Error):
            NativeProg(*args, type=1, **options)
    with pytest.raises(TypeError):
        NativeProg(good, type=1, maps=[object()])  # type: ignore[list-item]


def test_programs_longer_than_16_bits_count(engine: int = 0) -> None:
    n = 70000
    insns = [MOV, Insn(0x06, imm=n), *[Insn(0x07, imm=1)] * n, EXIT]
    skip = encode(insns)
    walk = encode([MOV, *[Insn(0x07, imm=1)] * n, EXIT])
    for engine in (0, 1):
        assert NativeProg(skip, type=1, engine=engine).run_raw() == 0
        assert NativeProg(walk, type=1, engine=engine).run_raw() == n


def test_dead_code_may_hold_what_could_not_run() -> None:
    insns = [MOV, Insn(0x05, off=1), Insn(0x85, imm=9999), EXIT]
    seen = struct.pack("<BBHi", FactFlag.SEEN, 0, 0xFFFF, 0)
    facts = seen * 2 + bytes(8) + seen
    for engine in (0, 1):
        assert NativeProg(encode(insns), facts, type=1, engine=engine).run_raw() == 0
    with pytest.raises(Error, match="helper unknown#9999"):
        NativeProg(encode(insns), type=1)


def test_random_images_never_harm() -> None:
    """Whatever the bytes: refused, or decoded and compiled (not run: nothing vouches for their memory)."""
    rng = random.Random(5)
    opcodes = list(BY_OPCODE)
    maps = [array(), NativeMap(MapType.HASH, 4, 8, 4)]
    accepted = 0
    for _ in range(4000):
        insns = [
            Insn(
                rng.choice(opcodes),
                rng.choice((0, 1, 2, 9, 10, rng.randrange(16))),
                rng.choice((0, 0, 1, 2, 5, 6)),
                rng.choice((0, 0, 1, -1, 8, 16)),
                rng.choice((0, 0, 1, 2, -1, 16, 32, 64, 5)),
            )
            for _ in range(rng.randrange(1, 4))
        ]
        image = encode([*insns, EXIT])
        for engine in (0, 1):
            try:
                NativeProg(image, type=1, flags=rng.choice((0, ProgFlag.NEEDS_BUDGET)), maps=maps, engine=engine)
                accepted += 1
            except Error as error:
                assert "insn" in str(error)
    assert accepted > 100


def test_a_program_keeps_its_maps() -> None:
    counts = array()
    text = "r1 = counts ll\n r0 = *(u64 *)(r1 + 0)\n exit"
    insns = assemble(text, {"counts": 0})
    image = encode([Insn(0x18, 1, 6, 0, 0), Insn(0), *insns[2:]])
    prog = NativeProg(image, type=1, maps=[counts])
    counts.update(bytes(4), (77).to_bytes(8, "little"))
    assert counts.refs == 2
    del counts
    assert prog.run_raw() == 77


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("r0 = 0\n exit", 2),
        ("r0 = 0\n if r1 == 0 goto out\n r0 = 1\n out: exit", 4),
        ("r0 = 0\n again: r0 += 1\n if r0 < 9 goto again\n exit", 0),
        ("call f\n call f\n exit\n f: r0 = 0\n exit", 2 + 2 + 1),
        ("call f\n exit\n f: call g\n exit\n g: call f\n exit", 0),
        ("call ktime_get_ns\n exit", 16 + 1),
        ("r1 = 1\n r2 = f ll\n r3 = 0\n r4 = 0\n call loop\n exit\n f: r0 = 0\n exit", 0),
        ("r0 = 0\n again: may_goto out\n goto again\n out: exit", 0),
    ],
)
def test_runs_without_loops_are_bounded(text: str, bound: int) -> None:
    assert NativeProg(encode(assemble(text)), type=1).max_insns == bound
    assert NativeProg(encode(assemble(text)), type=1, max_insns=77).max_insns == 77
