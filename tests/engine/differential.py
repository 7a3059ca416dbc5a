"""A generated program on Linux, the interpreter and the JIT: the same R0, packet, context and maps.

Maps are made once and reset before each run. The image for the native engines is the program itself, context
accesses to packet pointers put where the native context has them.
"""

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from pyebpf.isa.insn import Insn, encode
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.contexts import LAYOUTS
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, MapType, ProgType
from tests import linux
from tests.engine import gen
from tests.engine.runners import ENGINES, subprogs
from tests.linux import btf

KEYS = [n.to_bytes(4, "little") for n in range(16)]


@dataclass(frozen=True)
class Result:
    """What one run left. The maps: the arrays' values in order, the hash as sorted pairs."""

    retval: int
    data: bytes
    ctx: bytes
    arrays: tuple[bytes, ...]
    pairs: tuple[tuple[bytes, bytes], ...]


class Mismatch(AssertionError):
    """Two engines disagree."""


def image(program: gen.Program) -> bytes:
    """The program with loads of packet pointers turned into loads of the native context's."""
    if program.type not in gen.DATA_FIELDS:
        return encode(program.insns)
    layout = LAYOUTS[program.type]
    places = dict(zip(gen.DATA_FIELDS[program.type], ("data", "data_end"), strict=True))
    ldx_w, ldx_dw = 0x61, 0x79
    return encode(
        Insn(ldx_dw, i.dst, i.src, layout.native_offset(places[i.off]))
        if i.opcode == ldx_w and i.src == gen.CTX and i.off in places
        else i
        for i in program.insns
    )


class Linux:
    """The kernel's side."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.maps = [self.stack.enter_context(linux.create_map(*row)) for row in gen.MAPS]
        self.btf = self.stack.enter_context(btf.load_functions())

    def __enter__(self) -> "Linux":
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def load(self, program: gen.Program, log_level: int = 0) -> linux.Prog:
        """LoadError when it is refused."""
        starts = [start for start, _, _ in subprogs(program.insns)]
        flags = BPF_F_SLEEPABLE if program.type == ProgType.SYSCALL else 0
        options = {"btf": self.btf, "func_info": btf.func_info(starts)} if len(starts) > 1 else {}
        return linux.prog_load(
            encode(program.insns), program.type, flags=flags, fd_array=self.maps, log_level=log_level, **options
        )

    def run(self, program: gen.Program) -> Result:
        """Load, reset the maps, run."""
        with self.load(program) as prog:
            self.reset(program)
            data = None if program.type == ProgType.SYSCALL else program.data
            run = prog.test_run(data, program.ctx)
            first, second, third = self.maps
            arrays = (first.lookup(0) or b"", *(second.lookup(n) or b"" for n in range(second.max_entries)))
            return Result(run.retval, run.data_out, run.ctx_out, arrays, tuple(sorted(third.items())))

    def reset(self, program: gen.Program) -> None:
        """The arrays as the program wants them, the hash empty."""
        self.maps[0].update(0, program.arrays[0])
        for n, value in enumerate(program.arrays[1:]):
            self.maps[1].update(n, value)
        for key, _ in list(self.maps[2].items()):
            self.maps[2].delete(key)


class Native:
    """This process's side: one engine."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.maps = [NativeMap(MapType[row[0].upper()], *row[1:]) for row in gen.MAPS]

    def run(self, program: gen.Program) -> Result:
        """Compile, reset the maps, run."""
        prog = NativeProg(
            image(program),
            None,
            type=program.type,
            subprogs=subprogs(program.insns),
            maps=self.maps,
            engine=ENGINES[self.engine],
        )
        self.reset(program)
        retval, data, ctx, _ = prog.test_run(program.data, program.ctx, 1)
        first, second, third = self.maps
        arrays = (first.lookup(KEYS[0]) or b"", *(second.lookup(KEYS[n]) or b"" for n in range(second.max_entries)))
        pairs = tuple(sorted((key, third.lookup(key) or b"") for key in self.keys()))
        return Result(retval & 0xFFFFFFFF, data, ctx, arrays, pairs)

    def keys(self) -> list[bytes]:
        """Of the hash."""
        keys, key = [], self.maps[2].next_key(None)
        while key is not None:
            keys.append(key)
            key = self.maps[2].next_key(key)
        return keys

    def reset(self, program: gen.Program) -> None:
        """As Linux.reset."""
        self.maps[0].update(KEYS[0], program.arrays[0])
        for n, value in enumerate(program.arrays[1:]):
            self.maps[1].update(KEYS[n], value)
        for key in self.keys():
            self.maps[2].erase(key)


TYPES = (ProgType.SYSCALL, ProgType.XDP, ProgType.SCHED_CLS, ProgType.SOCKET_FILTER)


class Differential:
    """Runs seeds; counts how many Linux accepted. Without `kernel` the two engines are compared with each other."""

    def __init__(self, kernel: Linux | None) -> None:
        self.kernel = kernel
        self.engines = [Native(name) for name in ENGINES]
        self.accepted = self.refused = 0

    def run_seed(self, seed: int) -> None:
        """The program of a seed; Mismatch if two runs differ, nothing if Linux refuses it."""
        with suppress(linux.LoadError):
            self.run_program(gen.program(seed, TYPES[seed % len(TYPES)]))

    def run_program(self, program: gen.Program) -> None:
        """One program; Mismatch if two runs differ, LoadError if Linux refuses it."""
        results = {}
        if self.kernel is not None:
            try:
                results["linux"] = self.kernel.run(program)
            except linux.LoadError:
                self.refused += 1
                raise
        self.accepted += 1
        results |= {native.engine: native.run(program) for native in self.engines}
        self.compare(program, results)

    @staticmethod
    def compare(program: gen.Program, results: dict[str, Result]) -> None:
        """Mismatch, naming the first field that differs and the way to see the program again."""
        (first, wanted), *others = results.items()
        for name, got in others:
            for field in ("retval", "data", "ctx", "arrays", "pairs"):
                a, b = getattr(wanted, field), getattr(got, field)
                if a != b:
                    source = f"gen.program({program.seed}, {program.type!r})"
                    raise Mismatch(f"{source}: {field}: {first} {a!r}, {name} {b!r}")
