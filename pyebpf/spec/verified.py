"""VerifiedProgram: what the verifier hands on, and the only thing the native core takes."""

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from pyebpf.spec.kinds import MapType, ProgType


@dataclass(frozen=True, slots=True)
class MapDesc:
    """What the verifier may know of a map; never a live map.

    frozen: the value bytes of a frozen read-only ARRAY (constants to the verifier), else None.
    """

    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    name: str = ""
    id: int = 0
    frozen: bytes | None = None
    inner: "MapDesc | None" = None
    btf_id: int = 0
    btf_key_type_id: int = 0
    btf_value_type_id: int = 0


class FactFlag(IntFlag):
    """Bits of an instruction's fact record."""

    SEEN = 1  # some path executes it; an instruction without this bit is dead
    DST_UPPER_DEAD = 2  # nobody reads bits 32..63 of the destination
    ALWAYS = 4  # a conditional jump always taken
    NEVER = 8  # a conditional jump never taken


class PtrKind(IntEnum):
    """What the base register of a memory access points to, the same on every path; else ANY."""

    ANY = 0
    CTX = 1
    STACK = 2
    MAP_VALUE = 3
    PACKET = 4
    FLOW_KEYS = 5
    MEM = 6


FACT_SIZE = 8
NO_MAP = 0xFFFF
"""Fact record, 8 bytes an instruction (struct insn_fact in csrc/prog.h):
[ flags:u8 | ptr_kind:u8 | map index of a helper call, NO_MAP if not one and the same:u16 | aux:s32 ]
aux: for a STACK access with one constant offset that offset (negative, from the frame pointer), else 0."""


class ProgFlag(IntFlag):
    """What the verifier found of the program as a whole (flags in struct ebpf_prog_desc)."""

    WRITES_PACKET = 1
    RESIZES_PACKET = 2
    WRITES_CTX = 4
    CALLS_HELPERS = 8
    TAIL_CALLS = 16
    NEEDS_BUDGET = 32  # unverified: nothing bounds a run
    PRIVATE_ARGS = 64  # unverified: no other thread touches the memory it writes


@dataclass(frozen=True, slots=True)
class Subprog:
    """A function: first instruction, stack bytes used, name; callbacks are entered by helpers."""

    start: int
    stack_depth: int
    name: str = ""
    is_callback: bool = False


@dataclass(frozen=True, slots=True)
class VerifierStats:
    """The "processed ..." line of the log, and the time taken."""

    processed: int = 0
    max_states_per_insn: int = 0
    total_states: int = 0
    peak_states: int = 0
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class VerifiedProgram:
    """A program that was accepted.

    insns: 8 bytes each; every map reference is PSEUDO_MAP_IDX(_VALUE), its imm an index into `maps`.
    facts: FACT_SIZE bytes an instruction.  max_insns: bound of one run, 0 when not known.
    """

    prog_type: ProgType
    insns: bytes
    facts: bytes
    maps: tuple[MapDesc, ...] = ()
    subprogs: tuple[Subprog, ...] = (Subprog(0, 0),)
    flags: ProgFlag = ProgFlag(0)
    expected_attach_type: int = 0
    name: str = ""
    max_insns: int = 0
    log: str = ""
    stats: VerifierStats = field(default_factory=VerifierStats)
