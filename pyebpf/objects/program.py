"""Program: a loaded program, called like a function."""

import builtins
import contextlib
import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyebpf import native, syscall
from pyebpf.errors import ENOTSUPP, Error, VerifierError
from pyebpf.isa import asm, table
from pyebpf.isa.insn import Insn, Nested, decode, encode
from pyebpf.objects.link import Link
from pyebpf.objects.map import Map
from pyebpf.runtime import linux
from pyebpf.runtime.linkobj import AttachRequest, attach_object
from pyebpf.runtime.load import LoadArgs, MapRefs, load_prog
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.progobj import ProgObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr, sections
from pyebpf.spec.attach import LOAD_TYPES
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import ProgFlag
from pyebpf.syscall import TestRun

ENGINES = {"interp": 0, "jit": 1}
KINDS = {kind.name.lower(): kind for kind in ProgType}
NAME = re.compile(r"[A-Za-z0-9_.]*")
_PACKET_TYPES = (
    ProgType.SOCKET_FILTER,
    ProgType.SCHED_CLS,
    ProgType.SCHED_ACT,
    ProgType.XDP,
    ProgType.FLOW_DISSECTOR,
    ProgType.CGROUP_SKB,
    ProgType.LWT_IN,
    ProgType.LWT_OUT,
    ProgType.LWT_XMIT,
    ProgType.SK_SKB,
)
Code: TypeAlias = "bytes | bytearray | memoryview | str | Nested"


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What bpf_prog_info says. run_cnt and run_time_ns count while statistics are on (syscall.bpf_enable_stats)."""

    type: ProgType
    id: int
    name: str
    tag: str
    map_ids: tuple[int, ...]
    verified_insns: int
    run_cnt: int
    run_time_ns: int
    gpl_compatible: bool
    load_time_ns: int
    uid: int


def prog_type(kind: "ProgType | int | str") -> tuple[ProgType, int, str]:
    """Program type, expected attach type and attach target of a type's number, name, or SEC() text ("tc", "hook/x")."""
    if not isinstance(kind, str) or kind in KINDS:
        found = KINDS[kind] if isinstance(kind, str) else ProgType(kind)
        allowed = LOAD_TYPES.get(found, ())
        return found, next(iter(allowed)) if len(allowed) == 1 else 0, ""
    meaning = sections.meaning(kind)
    if meaning.prog_type == ProgType.UNSPEC:
        raise Error(errno.EINVAL, f"program type {kind!r}, expected one of {', '.join(KINDS)} or a section name")
    return meaning.prog_type, meaning.attach_type, meaning.target


def code_bytes(insns: Code, maps: Mapping[str, Map]) -> bytes:
    """Instructions as bytes, 8 each; names of maps in assembly text become their fds."""
    if isinstance(insns, str):
        return encode(asm.assemble(insns, {name: m.fd for name, m in maps.items()}))
    if isinstance(insns, (bytes, bytearray, memoryview)):
        if memoryview(insns).nbytes % 8:
            raise Error(errno.EINVAL, f"instructions are {memoryview(insns).nbytes} bytes, expected a multiple of 8")
        return bytes(insns)
    return encode(insns)


@native.called_directly
class Program(native.Caller):
    """A program.

    Calling it is one run over a packet (or, for types without one, over the bytes of a context); the result is R0.
    """

    def __init__(self, fd: int, backend: str = "user") -> None:
        """For `load`, `from_id`, `from_pin` and Collection; takes the fd over."""
        self._fd = fd
        self.backend = backend
        self._maps: tuple[Map, ...] = ()
        self._log = ""
        self._obj: ProgObj | None = None
        self._info: dict[str, int | bytes] = {}
        if backend == "user":
            obj, _ = runtime().fds.peek(fd, ProgObj)
            self._adopt(obj)
        else:
            self._info = syscall.bpf_obj_get_info(fd, attr.PROG_INFO, backend=backend)

    def _adopt(self, obj: ProgObj) -> None:
        self._obj = obj
        self._log = obj.verified.log
        self.native = obj.native

    @classmethod
    def load(
        cls,
        insns: Code,
        type: "ProgType | int | str" = "xdp",
        *,
        maps: Mapping[str, Map] | None = None,
        license: str = "GPL",
        name: str = "",
        log_level: int = 0,
        flags: int = 0,
        expected_attach_type: int | None = None,
        engine: str = "jit",
        caps: str = "all",
        backend: str = "user",
    ) -> Self:
        """Verify and load; VerifierError with the whole log when it is refused.

        insns: bytes, a list of Insn (the two slots of a 64-bit constant may be a list of their own), or assembly
        text, which names a map of `maps` as LLVM does: `r1 = counts ll`.
        type: "xdp", "socket_filter", ..., a section name ("tc", "tracepoint/x/y"), or ProgType.
        engine: "jit" or "interp".  caps: the privileges it is verified with ("all", "bpf", "none").
        """
        if backend not in ("user", "kernel"):
            raise ValueError(f"backend is {backend!r}, expected 'user' or 'kernel'")
        if not isinstance(license, str) or not isinstance(name, str):
            raise TypeError(f"license is {license!r}, name is {name!r}, expected text")
        if not NAME.fullmatch(name):
            raise Error(errno.EINVAL, f"name is {name!r}, expected letters, digits, _ and .")
        kind, attach_type, _ = prog_type(type)
        code = code_bytes(insns, maps or {})
        wanted = attach_type if expected_attach_type is None else expected_attach_type
        if backend != "user":
            return cls.load_linux(
                code,
                kind,
                license=license,
                name=name[:15],
                log_level=log_level,
                prog_flags=flags,
                expected_attach_type=wanted,
            )
        args = LoadArgs(
            insns=code,
            type=kind,
            license=license,
            name=name[:15],
            flags=flags,
            expected_attach_type=wanted,
            log_level=log_level,
            caps=caps,
            engine=engine_number(engine),
        )
        return cls.from_args(args, ())

    @classmethod
    def from_args(cls, args: LoadArgs, indexed: tuple[MapObj, ...], *, explain: bool = True) -> Self:
        """Load with PROG_LOAD's own arguments; `indexed`: the maps of PSEUDO_MAP_IDX.

        explain: a program that is refused without a log level is verified again with one, for the log in the error.
        """
        rt = runtime()
        obj: ProgObj | None
        try:
            obj = load_prog(rt, args, MapRefs(rt, indexed))
        except VerifierError as exc:
            if args.log_level or exc.unsupported or not explain:
                raise
            obj = None
        if obj is None:  # outside of the handler, so that one refusal is one traceback
            obj = load_prog(rt, replace(args, log_level=1), MapRefs(rt, indexed))
        return cls(rt.fds.install(obj))

    @classmethod
    def load_linux(cls, code: bytes, kind: ProgType, **options: Any) -> Self:
        """Load into the running kernel; `options` are those of syscall.bpf_prog_load."""
        log: list[str] = []
        try:
            fd = syscall.bpf_prog_load(kind, code, log_out=log, backend="kernel", **options)
        except VerifierError:
            raise
        except Error:
            if options.get("log_level"):
                raise
            again = {**options, "log_level": 1, "log_size": 1 << 24}
            fd = syscall.bpf_prog_load(kind, code, log_out=log, backend="kernel", **again)
        prog = cls(fd, "kernel")
        prog._log = "".join(log)
        return prog

    @classmethod
    def unsafe(
        cls,
        insns: Code,
        *,
        private_args: bool = False,
        maps: Mapping[str, Map] | None = None,
        name: str = "",
        engine: str = "jit",
        budget: int | None = None,
    ) -> Self:
        """A program that nothing verified: the caller vouches for every access it makes.

        Called with a buffer, r1 is its address and r2 its length; without one both are 0. All 64 bits of R0 come back.
        private_args: no other thread touches the memory it writes.  budget: back edges and calls of one run.
        """
        named = maps or {}
        code = code_bytes(insns, named)
        code, objs = _index_maps(code)
        flags = ProgFlag.NEEDS_BUDGET | (ProgFlag.PRIVATE_ARGS if private_args else ProgFlag(0))
        executable = native.NativeProg(
            code,
            None,
            type=ProgType.UNSPEC,
            flags=flags,
            maps=[obj.elements() for obj in objs],
            name=name[:15],
            engine=engine_number(engine),
        )
        if budget is not None:
            executable.budget = budget
        prog = cls.__new__(cls)
        prog._fd, prog.backend, prog._log, prog._obj, prog._info = -1, "user", "", None, {"insns": code}
        prog._maps = tuple(named.values())
        prog.native = executable
        return prog

    @classmethod
    def from_id(cls, id: int, *, backend: str = "user") -> Self:
        """The program with that id; ENOENT."""
        return cls(syscall.bpf_prog_get_fd_by_id(id, backend=backend), backend)

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str], *, backend: str = "user") -> Self:
        """The program pinned at `path`; ENOENT."""
        return cls(syscall.bpf_obj_get(path, backend=backend), backend)

    # Running

    def _call_slow(self, data: bytes | bytearray | memoryview) -> int:
        """Where there is no native program: Linux's test run, or the reason."""
        if self.backend == "kernel":
            return self.test_run(data).retval
        return int(self._executable().run(data))

    def _executable(self) -> "native.NativeProg":
        if self.native is not None:
            return self.native
        if self._fd < 0 or self._obj is None:
            raise Error(errno.EBADF if self.backend == "user" else ENOTSUPP, f"{self!r} cannot run here")
        return self._obj.executable()

    def test_run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        repeat: int = 1,
    ) -> TestRun:
        """PROG_TEST_RUN: what the program returns and leaves, and the mean time of `repeat` runs.

        data: the packet, by default 64 zero bytes for types that take one.  ctx: the context's bytes, or a numpy
        record.  On the user back end types that Linux cannot test-run run too, over their context.
        """
        raw_ctx = None if ctx is None else memoryview(ctx).tobytes()
        if not len(data) and self.type in _PACKET_TYPES:
            data = bytes(64)
        if self.backend == "kernel":
            return syscall.bpf_prog_test_run(self.fd, data, repeat=repeat, ctx=raw_ctx, backend="kernel")
        return TestRun(*self._executable().test_run(data, raw_ctx, repeat))

    def run_batch(
        self,
        batch: Any,
        threads: int = 1,
        *,
        lengths: Any = None,
        offsets: Any = None,
        out: Any = None,
        out_lengths: Any = None,
    ) -> NDArray[Any]:
        """Run over many events in one native call without the GIL: R0 of each.

        batch: a PacketBatch, a 2-D uint8 array (a packet a row), a structured array (a context a row), or a list of
        bytes.  lengths: bytes of each row that count.  out: a writable (n, width) uint8 array for what each run left
        of its packet (a flow dissector: its keys), cut to fit; out_lengths: n uint32, the lengths before that.
        A run that ends early ends the batch with its error.
        """
        data, offsets, lengths = _batch_parts(batch, offsets, lengths)
        result: NDArray[Any] = self._executable().run_batch(
            data, offsets, lengths, threads=threads, out=out, out_lengths=out_lengths
        )
        return result

    def attach(self, target: object, *, flags: int = 0, cookie: int = 0) -> Link:
        """Attach to a socket, trace point, hook, ...: what the sources register; a Link, which detaches it."""
        rt = runtime()
        request = AttachRequest(target=target, flags=flags, cookie=cookie)
        return Link(rt.fds.install(attach_object(rt.links, self._loaded(), request, rt.targets)))

    def _loaded(self) -> ProgObj:
        if self._obj is None or self._fd < 0:
            raise Error(errno.EBADF, f"{self!r} is closed, or not of this process")
        return self._obj

    @property
    def entry(self) -> int:
        """Address of uint64_t (*)(void *r1, uint64_t r2), a whole guarded run. This object must outlive its use."""
        return self._executable().entry

    @property
    def entry_raw(self) -> int:
        """Address of the compiled function itself, for programs without helpers. This object must outlive its use."""
        return self._executable().entry_raw

    # What it is

    @property
    def fd(self) -> int:
        """Its fd; EBADF once it is closed."""
        if self._fd < 0:
            raise Error(errno.EBADF, f"{self!r} has no fd")
        return self._fd

    def fileno(self) -> int:
        """The fd."""
        return self.fd

    def _member(self, name: str) -> Any:
        return self._info.get(name, 0)

    @property
    def id(self) -> int:
        """Its global id, 0 for an unverified program."""
        return self._obj.id if self._obj else int(self._member("id"))

    @property
    def name(self) -> str:
        """Its name."""
        if self._obj is not None:
            return self._obj.name
        return self.native.name if self.native is not None else self._member("name").rstrip(b"\0").decode()

    @property
    def type(self) -> ProgType:
        """Its kind."""
        return self._obj.type if self._obj else ProgType(self._member("type"))

    @property
    def tag(self) -> str:
        """Its tag as Linux computes it, in hex; "" for an unverified program."""
        return self._obj.tag.hex() if self._obj else (self._member("tag") or b"").hex()

    @property
    def engine(self) -> str:
        """ "jit", "interp", "none" (verify-only) or "kernel"."""
        if self.backend == "kernel":
            return "kernel"
        return self.native.engine if self.native is not None else "none"

    @property
    def runnable(self) -> bool:
        """False for a kind that can only be verified: running it is ENOTSUPP and names the kind."""
        return self.native is not None or self.backend == "kernel"

    @property
    def insns(self) -> tuple[Insn, ...]:
        """The instructions as verified, maps as PSEUDO_MAP_IDX; as Linux shows them for its own programs."""
        if self._obj is not None:
            return tuple(decode(self._obj.verified.insns))
        return tuple(decode(self._member("insns") or self.xlated))

    @property
    def xlated(self) -> bytes:
        """The instructions as they run: context accesses rewritten."""
        if self._obj is not None:
            return self._obj.xlated
        return self._member("insns") or self._image("xlated_prog_insns", "xlated_prog_len")

    @property
    def jited(self) -> bytes:
        """Native code; b"" under the interpreter."""
        if self.backend == "kernel":
            return self._image("jited_prog_insns", "jited_prog_len")
        return self.native.jited if self.native is not None else b""

    def _image(self, pointer: str, length: str) -> bytes:
        return linux.read_array(self.fd, attr.PROG_INFO, pointer, length)

    @property
    def verifier_log(self) -> str:
        """What the verifier said of it, by log_level."""
        return self._log

    @property
    def info(self) -> ProgramInfo:
        """bpf_prog_info, as it is now."""
        if self._obj is not None:
            return _user_info(self._obj)
        if self._fd < 0:
            raise Error(errno.EBADF, f"{self!r} has no info")
        info = syscall.bpf_obj_get_info(self.fd, attr.PROG_INFO, backend=self.backend)
        return _linux_info(info, linux.read_array(self.fd, attr.PROG_INFO, "map_ids", "nr_map_ids", 4))

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Give it a name: in this process (user back end) or in bpffs (kernel); EEXIST."""
        syscall.bpf_obj_pin(self.fd, path, backend=self.backend)

    def __repr__(self) -> str:
        state = "" if self._fd >= 0 else ", unverified" if self._obj is None and self.native is not None else ", closed"
        return f"<Program {self.name or self.id} {self.type.name} {self.engine}{state}>"

    # Life

    def close(self) -> None:
        """Let go of it; links and prog arrays keep it alive. Twice is no error."""
        fd, self._fd = self._fd, -1
        self.native = None
        if fd < 0:
            return
        if self.backend == "user":
            runtime().fds.close(fd)
        else:
            linux.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: "builtins.type[BaseException] | None", exc: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            with contextlib.suppress(Error):  # Somebody closed the fd already.
                self.close()


def engine_number(name: str) -> int:
    """0 interpreter, 1 JIT."""
    if name not in ENGINES:
        raise Error(errno.EINVAL, f"engine {name!r}, expected one of {', '.join(ENGINES)}")
    return ENGINES[name]


def _batch_parts(batch: Any, offsets: Any, lengths: Any) -> tuple[Any, Any, Any]:
    """data, offsets and lengths of whatever run_batch takes."""
    if hasattr(batch, "offsets") and hasattr(batch, "lengths"):
        return batch.data, batch.offsets, batch.lengths
    if isinstance(batch, np.ndarray) and batch.dtype.names is not None:
        rows = np.ascontiguousarray(batch)
        return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize), offsets, lengths
    return batch, offsets, lengths


def _index_maps(code: bytes) -> tuple[bytes, list[MapObj]]:
    """Map fds of an image as indices, and the maps by index."""
    fds, objs, out = runtime().fds, list[MapObj](), bytearray(code)
    seen: dict[int, int] = {}
    indexed = {table.PSEUDO_MAP_FD: table.PSEUDO_MAP_IDX, table.PSEUDO_MAP_VALUE: table.PSEUDO_MAP_IDX_VALUE}
    at = 0
    while at + 8 <= len(out):
        wide = out[at] == table.LD | table.IMM | table.DW
        pseudo = out[at + 1] >> 4
        if wide and pseudo in indexed:
            fd = int.from_bytes(out[at + 4 : at + 8], "little", signed=True)
            if fd not in seen:
                seen[fd] = len(objs)
                objs.append(fds.peek(fd, MapObj)[0])
            out[at + 1] = out[at + 1] & 15 | indexed[pseudo] << 4
            out[at + 4 : at + 8] = seen[fd].to_bytes(4, "little")
        at += 16 if wide else 8
    return bytes(out), objs


def _user_info(obj: ProgObj) -> ProgramInfo:
    return ProgramInfo(
        type=obj.type,
        id=obj.id,
        name=obj.name,
        tag=obj.tag.hex(),
        map_ids=tuple(m.id for m in obj.maps),
        verified_insns=obj.verified.stats.processed,
        run_cnt=obj.native.run_cnt if obj.native else 0,
        run_time_ns=obj.native.run_time_ns if obj.native else 0,
        gpl_compatible=obj.gpl_compatible,
        load_time_ns=obj.load_time_ns,
        uid=obj.uid,
    )


def _linux_info(info: Mapping[str, Any], map_ids: bytes) -> ProgramInfo:
    return ProgramInfo(
        type=ProgType(info["type"]),
        id=info["id"],
        name=info["name"].rstrip(b"\0").decode(),
        tag=info["tag"].hex(),
        map_ids=tuple(np.frombuffer(map_ids, np.uint32).tolist()),
        verified_insns=info["verified_insns"],
        run_cnt=info["run_cnt"],
        run_time_ns=info["run_time_ns"],
        gpl_compatible=bool(info["gpl_compatible"] & 1),
        load_time_ns=info["load_time"],
        uid=info["created_by_uid"],
    )
