"""Random accepted programs on Linux, interpreter and JIT: `python -m tests.fuzz.engine --seconds 60`.

Stops at the first disagreement, makes it small and prints it; exit status 1.
"""

import argparse
import dataclasses
import random
import sys
import time
from collections.abc import Sequence

from pyebpf.errors import Error
from pyebpf.isa.disasm import disassemble
from pyebpf.isa.insn import Insn, encode
from tests import linux
from tests.engine import gen
from tests.engine.differential import TYPES, Differential, Linux, Mismatch
from tests.fuzz.minimize import minimize


def shrink(differential: Differential, program: gen.Program) -> gen.Program:
    """The smallest program found that Linux still accepts and the engines still disagree about."""

    def fails(insns: Sequence[Insn]) -> bool:
        try:
            differential.run_program(dataclasses.replace(program, insns=tuple(insns)))
        except Mismatch:
            return True
        except (OSError, Error):
            return False
        return False

    return dataclasses.replace(program, insns=tuple(minimize(program.insns, fails)))


def report(differential: Differential, program: gen.Program, error: Mismatch) -> None:
    """Print the disagreement and the small program."""
    print(error)
    small = shrink(differential, program)
    for index, text in disassemble(encode(small.insns)):
        print(f"{index}: {text}")
    try:
        differential.run_program(small)
    except Mismatch as again:
        print(again)


def main() -> int:
    """Run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--start", type=int, default=random.randrange(1 << 40), help="first seed")
    parser.add_argument("--size", type=int, default=80, help="statements of a program, at most")
    parser.add_argument("--no-linux", action="store_true", help="compare interpreter and JIT only")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    kernel = None if options.no_linux else Linux()
    differential = Differential(kernel)
    seed = options.start
    while time.monotonic() < end:
        program = gen.program(seed, TYPES[seed % len(TYPES)], options.size)
        try:
            differential.run_program(program)
        except linux.LoadError:
            pass
        except Mismatch as error:
            report(differential, program, error)
            return 1
        seed += 1
    print(
        f"{differential.accepted} programs agree, {differential.refused} refused, seeds {options.start} to {seed - 1}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
