"""What the verifier proved, used: the JIT with its facts does what the interpreter does without them."""

import contextlib
from collections import Counter

import pytest

from pyebpf.errors import VerifierError
from pyebpf.isa.insn import encode
from pyebpf.native import NativeProg
from pyebpf.spec.debuginfo import FuncInfo
from pyebpf.spec.kinds import MapType
from pyebpf.spec.verified import FACT_SIZE, FactFlag, MapDesc, VerifiedProgram
from pyebpf.verifier import VerifierInput, verify
from pyebpf.verify import fixups
from tests.engine import gen
from tests.engine.differential import TYPES, Differential, Native, Result
from tests.engine.runners import subprogs
from tests.jit.machine import JIT

DESCRIPTIONS = [
    MapDesc(MapType[kind.upper()], key, value, n, id=1 + i) for i, (kind, key, value, n) in enumerate(gen.MAPS)
]


class Maps:
    """gen.MAPS by index."""

    def by_fd(self, fd: int) -> MapDesc | None:
        return None

    def by_index(self, index: int) -> MapDesc | None:
        return DESCRIPTIONS[index] if index < len(DESCRIPTIONS) else None


class Verified(Native):
    """The JIT, fed from the verifier."""

    def __init__(self) -> None:
        super().__init__("jit")
        self.seen: Counter[str] = Counter()

    def verify(self, program: gen.Program) -> VerifiedProgram:
        starts = [start for start, _, _ in subprogs(program.insns)]
        infos = [FuncInfo(start, 0) for start in starts] if len(starts) > 1 else []
        return verify(VerifierInput(encode(program.insns), program.type, func_info=infos), Maps())

    def make(self, verified: VerifiedProgram) -> NativeProg:
        for flags in verified.facts[::FACT_SIZE]:
            self.seen.update(flag.name or "" for flag in FactFlag if flags & flag)
            self.seen["dead"] += not flags & FactFlag.SEEN
        maps = [self.maps[DESCRIPTIONS.index(desc)] for desc in verified.maps]
        functions = [(s.start, s.stack_depth, s.is_callback) for s in verified.subprogs]
        return NativeProg(
            fixups.lower(verified),
            verified.facts,
            type=verified.prog_type,
            flags=int(verified.flags),
            subprogs=functions,
            maps=maps,
            engine=JIT,
        )

    def run(self, program: gen.Program) -> Result:
        prog = self.make(self.verify(program))
        self.reset(program)
        retval, data, ctx, _ = prog.test_run(program.data, program.ctx, 1)
        first, second, _ = self.maps
        arrays = tuple(
            (m.lookup(n.to_bytes(4, "little")) or b"") for m in (first, second) for n in range(m.max_entries)
        )
        third = self.maps[2]
        pairs = tuple(sorted((key, third.lookup(key) or b"") for key in self.keys()))
        return Result(retval & 0xFFFFFFFF, data, ctx, arrays, pairs)


def agree(seeds: range) -> tuple[int, Verified]:
    """How many programs ran the same; Mismatch for one that did not."""
    with_facts, plain, ran = Verified(), Native("interp"), 0
    for seed in seeds:
        program = gen.program(seed, TYPES[seed % len(TYPES)])
        with contextlib.suppress(VerifierError):
            results = {"facts": with_facts.run(program)}
            Differential.compare(program, results | {"interp": plain.run(program)})
            ran += 1
    return ran, with_facts


def test_programs_with_facts_agree() -> None:
    ran, engine = agree(range(60_000, 60_120))
    assert ran >= 60  # some use what the verifier does not know yet
    assert engine.seen["ALWAYS"] > 20 and engine.seen["NEVER"] > 20 and engine.seen["dead"] > 20


@pytest.mark.slow
def test_a_thousand_programs_with_facts_agree() -> None:
    ran, _ = agree(range(61_000, 62_000))
    assert ran >= 500
