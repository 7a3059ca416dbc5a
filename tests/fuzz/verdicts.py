"""Linux's verdict and ours on the same program, and what to call the pair."""

import re
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum

from pyebpf.errors import Error, VerifierError
from pyebpf.isa.insn import Insn, encode
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, MapType, ProgType
from pyebpf.spec.verified import MapDesc
from pyebpf.verifier import FuncInfo, VerifierInput, verify
from tests import linux
from tests.engine.functions import subprogs
from tests.fuzz.edge import MAPS, PROG_ARRAY, READ_ONLY, TYPES
from tests.fuzz.limits import excuse
from tests.linux import btf

FROZEN = bytes(range(32))


class Class(Enum):
    """How the two verdicts compare."""

    BOTH_ACCEPT = "both accept"
    SAME_MESSAGE = "both reject, same message"
    OTHER_MESSAGE = "both reject, other message"
    UNSAFE = "accepted here, rejected by Linux"
    EXCUSED = "accepted here, rejected by Linux for a limit"
    TOO_STRICT = "rejected here, accepted by Linux"
    UNSUPPORTED = "unsupported here"
    CRASH = "the verifier failed"
    TOO_LARGE = "too large for Linux, not tried here"


@dataclass(frozen=True)
class Verdict:
    """errno (0: accepted) and the first message; ours also: what is not known yet, or the failure."""

    errno: int
    message: str
    unsupported: bool = False
    crash: str = ""


def general(message: str) -> str:
    """A message without its numbers, registers and map kinds."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", message)


def functions(insns: Sequence[Insn]) -> list[int]:
    """Where functions start, as func_info must say; [0] when some start is no instruction."""
    starts = [start for start, _, _ in subprogs(insns)]
    return starts if min(starts) >= 0 and max(starts) < len(insns) and len(starts) <= btf.MAX_FUNCS else [0]


def prog_flags(type: ProgType) -> int:
    """Flags a program of the type is loaded with."""
    return BPF_F_SLEEPABLE if type == ProgType.SYSCALL else 0


class LinuxSide:
    """Maps, BTF and verdicts of the running kernel. A PROG_ARRAY takes one program type: one for each."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.maps = [self.stack.enter_context(linux.create_map(*row)) for row in MAPS]
        self.maps[READ_ONLY].update(0, FROZEN)
        self.maps[READ_ONLY].freeze()
        self.prog_arrays = {t: self.stack.enter_context(linux.create_map(*MAPS[PROG_ARRAY])) for t in TYPES}
        self.btf = self.stack.enter_context(btf.load_functions())

    def __enter__(self) -> "LinuxSide":
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def verdict(self, insns: Sequence[Insn], type: ProgType) -> Verdict:
        """Without a log first: logs of long explorations take seconds."""
        starts = functions(insns)
        info = {"btf": self.btf, "func_info": btf.func_info(starts)} if len(starts) > 1 else {}
        maps = [*self.maps[:PROG_ARRAY], self.prog_arrays[type], *self.maps[PROG_ARRAY + 1 :]]
        code = encode(insns)
        first = linux.verdict(code, type, flags=prog_flags(type), fd_array=maps, log_level=0, **info)
        if first.accepted or excuse(first.errno, ""):
            return Verdict(first.errno, "")
        again = linux.verdict(code, type, flags=prog_flags(type), fd_array=maps, log_level=1, **info)
        return Verdict(again.errno, again.message)


def description(index: int) -> MapDesc:
    """A map of MAPS as the verifier may know it."""
    kind, key_size, value_size, max_entries, flags = MAPS[index]
    frozen = FROZEN if index == READ_ONLY else None
    type = MapType[kind.upper()]
    return MapDesc(type, key_size, value_size, max_entries, flags, f"m{index}", index + 1, frozen)


class Descriptions:
    """The maps by index; no fd names one."""

    def __init__(self) -> None:
        self.maps = [description(n) for n in range(len(MAPS))]

    def by_fd(self, fd: int) -> MapDesc | None:
        """None."""
        return None

    def by_index(self, index: int) -> MapDesc | None:
        """A map of MAPS."""
        return self.maps[index] if 0 <= index < len(self.maps) else None


class OurSide:
    """pyebpf's verdicts."""

    def __init__(self) -> None:
        self.maps = Descriptions()

    def verdict(self, insns: Sequence[Insn], type: ProgType) -> Verdict:
        """Whatever else than a VerifierError comes out is a crash."""
        starts = functions(insns)
        info = [FuncInfo(start, type_id, f"f{n}") for n, (start, type_id) in enumerate(btf.func_info(starts))]
        program = VerifierInput(
            encode(insns), type, prog_flags=prog_flags(type), log_level=1, func_info=info if len(starts) > 1 else ()
        )
        try:
            verify(program, self.maps)
        except VerifierError as e:
            return Verdict(e.errno or 0, linux.reason(e.log) or e.strerror or "", unsupported=e.unsupported)
        except (Error, Exception) as e:
            return Verdict(0, "", crash="".join(traceback.format_exception_only(e)).strip())
        return Verdict(0, "")


def classify(theirs: Verdict, ours: Verdict) -> Class:
    """What the pair is."""
    if ours.crash:
        return Class.CRASH
    if ours.unsupported:
        return Class.UNSUPPORTED
    if theirs.errno == 0:
        return Class.TOO_STRICT if ours.errno else Class.BOTH_ACCEPT
    if ours.errno == 0:
        return Class.EXCUSED if excuse(theirs.errno, theirs.message) else Class.UNSAFE
    return Class.SAME_MESSAGE if theirs.message == ours.message else Class.OTHER_MESSAGE
