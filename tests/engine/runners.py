"""One way to run a program everywhere: Linux's PROG_TEST_RUN, the interpreter and the JIT.

Maps are arrays of one element, named by index (PSEUDO_MAP_IDX and _VALUE), the same in all three.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pyebpf.isa.insn import Insn, encode
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, MapType, ProgType
from tests import linux
from tests.engine.functions import subprogs

ENGINES = {"interp": 0, "jit": 1}
KEY = bytes(4)


@dataclass(frozen=True)
class Outcome:
    """What a run left: R0 (32 bits of it, as PROG_TEST_RUN gives), packet, context, the maps' values."""

    retval: int
    data: bytes
    ctx: bytes
    maps: tuple[bytes, ...]


def on_linux(insns: Sequence[Insn], type: ProgType, data: bytes, ctx: bytes | None, maps: Sequence[bytes]) -> Outcome:
    """Load, fill the maps, run once."""
    with ExitStack() as stack:
        fds = [stack.enter_context(linux.create_map("array", 4, len(value), 1)) for value in maps]
        for fd, value in zip(fds, maps, strict=True):
            fd.update(KEY, value)
        sleepable = BPF_F_SLEEPABLE if type == ProgType.SYSCALL else 0
        code = encode(insns)
        try:
            prog = stack.enter_context(linux.prog_load(code, type, flags=sleepable, fd_array=fds))
        except linux.LoadError:  # again, for the log
            prog = stack.enter_context(linux.prog_load(code, type, flags=sleepable, fd_array=fds, log_level=1))
        run = prog.test_run(None if type == ProgType.SYSCALL else data, ctx)
        return Outcome(run.retval, run.data_out, run.ctx_out, tuple(fd.lookup(KEY) or b"" for fd in fds))


def on_native(
    insns: Sequence[Insn], type: ProgType, data: bytes, ctx: bytes | None, maps: Sequence[bytes], *, engine: str
) -> Outcome:
    """The same in this process; the image goes in as it is, so only programs that need no rewriting."""
    arrays = [NativeMap(MapType.ARRAY, 4, len(value), 1) for value in maps]
    for array, value in zip(arrays, maps, strict=True):
        array.update(KEY, value)
    functions = subprogs(insns)
    prog = NativeProg(encode(insns), None, type=type, subprogs=functions, maps=arrays, engine=ENGINES[engine])
    assert prog.engine == engine
    assert bool(prog.jited) == (engine == "jit")
    retval, data_out, ctx_out, _ = prog.test_run(data, ctx, 1)
    return Outcome(retval & 0xFFFFFFFF, data_out, ctx_out, tuple(array.lookup(KEY) or b"" for array in arrays))


def run(
    where: str,
    insns: Sequence[Insn],
    *,
    type: ProgType = ProgType.SYSCALL,
    data: bytes = b"",
    ctx: bytes | None = None,
    maps: Sequence[bytes] = (),
) -> Outcome:
    """Run on "linux", "interp" or "jit"."""
    if where == "linux":
        return on_linux(insns, type, data, ctx, maps)
    return on_native(insns, type, data, ctx, maps, engine=where)
