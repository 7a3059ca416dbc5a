"""Small programs over maps, run here on both engines and in the kernel (PROG_TEST_RUN of a syscall program)."""

from collections.abc import Mapping

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.isa.table import PSEUDO_MAP_FD, PSEUDO_MAP_IDX
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, ProgType
from tests import linux
from tests.engine.runners import subprogs
from tests.linux.maps import LinuxMap
from tests.maps.both import Linux, Ours

LD_IMM64 = 0x18


def image(text: str, names: Mapping[str, int]) -> bytes:
    """The program with maps named by index, as the verifier leaves it and as Linux takes it with an fd_array."""
    code = bytearray(encode(assemble(text, names)))
    for at in range(0, len(code), 8):
        if code[at] == LD_IMM64 and code[at + 1] >> 4 == PSEUDO_MAP_FD:
            code[at + 1] = code[at + 1] & 15 | PSEUDO_MAP_IDX << 4
    return bytes(code)


def native(text: str, maps: Mapping[str, NativeMap], engine: int, type: ProgType = ProgType.SYSCALL) -> NativeProg:
    """A program of this process, its maps by name."""
    code = image(text, {name: i for i, name in enumerate(maps)})
    functions = subprogs(assemble(text, {name: i for i, name in enumerate(maps)}))
    return NativeProg(code, None, type=type, subprogs=functions, maps=list(maps.values()), engine=engine)


def kernel(text: str, maps: Mapping[str, LinuxMap]) -> "linux.Prog":
    """The same in the kernel."""
    code = image(text, {name: i for i, name in enumerate(maps)})
    return linux.prog_load(code, ProgType.SYSCALL, flags=BPF_F_SLEEPABLE, fd_array=list(maps.values()))


def run(text: str, where: str, **maps: Ours | Linux) -> int:
    """One run on "interp", "jit" or "linux"; 32 bits of R0, signed."""
    if where == "linux":
        found = {name: m.map for name, m in maps.items()}
        retval = kernel(text, found).test_run(None, None).retval  # type: ignore[arg-type]
    else:
        found = {name: m.map for name, m in maps.items()}
        prog = native(text, found, where == "jit")  # type: ignore[arg-type]
        retval = prog.test_run(b"", bytes(64), 1)[0] & 0xFFFFFFFF
    return retval - (1 << 32) if retval >= 1 << 31 else retval
