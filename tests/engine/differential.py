"""A generated program on Linux, the interpreter and the JIT: the same R0, packet, context and maps.

Maps are made once and reset before each run. Here a program goes the way all programs go: verifier, image and facts,
engine. The interpreter gets the image without facts too, so that they are seen to change nothing. Programs that the
verifier refuses run as they are, and are counted.
"""

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from pyebpf.errors import VerifierError
from pyebpf.isa.insn import Insn, encode
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.contexts import LAYOUTS
from pyebpf.spec.kinds import BPF_F_SLEEPABLE, MapType, ProgType
from pyebpf.spec.verified import MapDesc, VerifiedProgram
from pyebpf.verifier import FuncInfo, VerifierInput, verify
from pyebpf.verify import explore
from pyebpf.verify.fixups import lower
from tests import linux
from tests.engine import gen
from tests.engine.functions import subprogs
from tests.engine.runners import ENGINES
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


class Descriptions:
    """The maps as the verifier may know them."""

    maps = tuple(
        MapDesc(MapType[kind.upper()], key_size, value_size, n, 0, f"m{i}", i + 1)
        for i, (kind, key_size, value_size, n) in enumerate(gen.MAPS)
    )

    def by_fd(self, fd: int) -> MapDesc | None:
        """No fd names one."""
        return None

    def by_index(self, index: int) -> MapDesc | None:
        """A map of gen.MAPS."""
        return self.maps[index] if 0 <= index < len(self.maps) else None


def prog_flags(type: ProgType) -> int:
    """Flags a program of the type is loaded with."""
    return BPF_F_SLEEPABLE if type == ProgType.SYSCALL else 0


def verified(program: gen.Program) -> VerifiedProgram:
    """VerifierError if it is refused."""
    starts = [start for start, _, _ in subprogs(program.insns)]
    info = [FuncInfo(start, type_id, f"f{n}") for n, (start, type_id) in enumerate(btf.func_info(starts))]
    code = encode(program.insns)
    return verify(
        VerifierInput(code, program.type, prog_flags=prog_flags(program.type), func_info=info), Descriptions()
    )


def image(program: gen.Program) -> bytes:
    """The image of a program that the verifier does not take: loads of packet pointers go to the native context."""
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
        flags = prog_flags(program.type)
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
    """This process's side: one engine, with what the verifier proved or without."""

    def __init__(self, engine: str, facts: bool) -> None:
        self.engine, self.facts = engine, facts
        self.name = engine if facts else f"{engine} without facts"
        self.maps = [NativeMap(MapType[row[0].upper()], *row[1:]) for row in gen.MAPS]

    def compile(self, program: gen.Program, v: VerifiedProgram | None) -> NativeProg:
        """The native program; without `v` of the program as it is."""
        if v is None:
            functions = subprogs(program.insns)
            return NativeProg(
                image(program), None, type=program.type, subprogs=functions, maps=self.maps, engine=ENGINES[self.engine]
            )
        return NativeProg(
            lower(v),
            v.facts if self.facts else None,
            type=v.prog_type,
            flags=v.flags,
            subprogs=[(s.start, s.stack_depth, s.is_callback) for s in v.subprogs],
            maps=[self.maps[m.id - 1] for m in v.maps],
            max_insns=v.max_insns,
            engine=ENGINES[self.engine],
        )

    def run(self, program: gen.Program, v: VerifiedProgram | None = None) -> Result:
        """Compile, reset the maps, run."""
        prog = self.compile(program, v)
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


VERIFY_EVERY = 1 if (explore.__file__ or "").endswith(".so") else 8
"""Every how many programs are verified: the interpreted verifier takes forty times as long as the compiled one."""
TYPES = (ProgType.SYSCALL, ProgType.XDP, ProgType.SCHED_CLS, ProgType.SOCKET_FILTER)


class Differential:
    """Runs seeds; counts how many Linux accepted. Without `kernel` the two engines are compared with each other."""

    def __init__(self, kernel: Linux | None) -> None:
        self.kernel = kernel
        self.engines = [Native("interp", False), Native("interp", True), Native("jit", True)]
        self.accepted = self.refused = self.unverified = 0

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
        v = None
        if program.seed % (VERIFY_EVERY * len(TYPES)) < len(TYPES):
            try:
                v = verified(program)
            except VerifierError:
                self.unverified += 1
        results |= {native.name: native.run(program, v) for native in self.engines}
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
