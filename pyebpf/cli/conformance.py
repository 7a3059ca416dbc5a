"""`pyebpf conformance`: the plugin protocol of the bpf_conformance test suite.

    pyebpf conformance "aa bb 11 cc" < program.hex

The program is one line of hexadecimal bytes on standard input (or --program), the memory another such string; r1 is
the memory's address, r2 its length, and r0 is printed in hexadecimal. Nothing is verified: the suite vouches for its
programs, and a budget ends those that do not end.
"""

import argparse
import json
import re
import sys

from pyebpf.errors import Error
from pyebpf.native import NativeProg
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import ProgFlag

ENGINES = {"interp": 0, "jit": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("memory", nargs="?", default="", metavar="MEMORY_HEX", help="bytes that r1 points to")
    parser.add_argument("--program", metavar="HEX", help="the program; else a line of standard input")
    parser.add_argument("--engine", choices=ENGINES, default="jit", help="which engine runs it")
    parser.add_argument("--debug", action="store_true", help="accepted for the suite; errors always say why")


def parse_hex(text: str, what: str) -> bytes:
    """Bytes of hexadecimal digits, with or without spaces between bytes; ValueError says which place is wrong."""
    digits = re.sub(r"\s+", "", text)
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong is not None:
        raise ValueError(f"{what}: digit {wrong.start()} is {wrong.group()!r}, expected 0-9 or a-f")
    if len(digits) % 2:
        raise ValueError(f"{what}: {len(digits)} hexadecimal digits, expected two a byte")
    return bytes.fromhex(digits)


def execute(program: bytes, memory: bytes, engine: str) -> int:
    """r0 of one run, 64 bits."""
    prog = NativeProg(
        program,
        None,
        type=ProgType.SOCKET_FILTER,
        flags=ProgFlag.NEEDS_BUDGET,
        name="conformance",
        engine=ENGINES[engine],
    )
    return prog.run(bytearray(memory))


def run(options: argparse.Namespace) -> int:
    """Exit status: 0, or 1 when the program could not be read, loaded or run to its end."""
    try:
        program = parse_hex(sys.stdin.readline() if options.program is None else options.program, "program")
        memory = parse_hex(options.memory, "memory")
        r0 = execute(program, memory, options.engine)
    except (ValueError, Error) as e:
        print(f"pyebpf conformance: {e}", file=sys.stderr)
        return 1
    print(json.dumps({"r0": r0}) if getattr(options, "json", False) else f"{r0:x}")
    return 0
