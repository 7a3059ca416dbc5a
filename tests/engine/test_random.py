"""Random accepted programs do the same on Linux, the interpreter and the JIT: R0, packet, context, maps."""

import dataclasses
from collections.abc import Iterator

import pytest

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import OPS
from tests import require
from tests.engine import gen
from tests.engine.differential import TYPES, Differential, Linux, Mismatch

QUICK, ALL = 1500, 20000


@pytest.fixture(scope="module")
def differential() -> Iterator[Differential]:
    require.linux()
    with Linux() as kernel:
        yield Differential(kernel)


def run(differential: Differential, seeds: range) -> None:
    before = differential.accepted
    for seed in seeds:
        differential.run_seed(seed)
    assert differential.accepted - before >= 0.95 * len(seeds)


@pytest.mark.parametrize("first", range(0, QUICK, 250))
def test_random_programs_agree(differential: Differential, first: int) -> None:
    run(differential, range(first, first + 250))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, ALL, 1850))
def test_twenty_thousand_random_programs_agree(differential: Differential, first: int) -> None:
    run(differential, range(first, first + 1850))


def test_engines_agree_without_linux() -> None:
    differential = Differential(None)
    for seed in range(400):
        differential.run_seed(ALL + seed)
    assert differential.accepted == 400


def test_a_wrong_engine_would_be_noticed(differential: Differential) -> None:
    """One engine gets the program with one constant changed: most of such changes must show."""
    noticed = tried = 0
    for seed in range(60):
        program = gen.program(seed, TYPES[seed % len(TYPES)])
        stores = [n for n, i in enumerate(program.insns) if i.opcode == 0x7B and i.dst == gen.CTX][-9:]
        wrong = list(program.insns)
        for n in stores:  # the last one stored register
            wrong[n] = Insn(0x7A, gen.CTX, 0, wrong[n].off, seed)
        tried += 1
        results = {"right": differential.engines[0].run(program)}
        results["wrong"] = differential.engines[1].run(dataclasses.replace(program, insns=tuple(wrong)))
        try:
            differential.compare(program, results)
        except Mismatch:
            noticed += 1
    assert noticed >= 0.6 * tried  # the others leave early


def test_programs_use_the_whole_instruction_set() -> None:
    seen = {i.op.name for seed in range(600) for i in gen.program(seed, TYPES[seed % 4]).insns if i.op is not None}
    never = {op.name for op in OPS} - seen
    assert never - {"LD_FUNC"} == {"CALL_KFUNC", "LD_MAP_FD", "LD_MAP_VALUE", "LD_BTF_ID"}
