"""Loading programs: checks before the verifier, the verifier, native code, a program object."""

import errno
import hashlib
from dataclasses import dataclass
from typing import Final

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.isa import table
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.debuginfo import DebugInfo
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.progobj import ProgObj
from pyebpf.runtime.state import Runtime
from pyebpf.spec import attach, attr, kinds
from pyebpf.spec.kinds import AttachType, ProgType
from pyebpf.spec.verified import MapDesc, VerifiedProgram
from pyebpf.verifier import VerifierInput, verify

MAX_INSNS: Final = {"all": 1_000_000, "bpf": 1_000_000, "none": 4096}
_FLAGS: Final = (
    kinds.BPF_F_STRICT_ALIGNMENT
    | kinds.BPF_F_ANY_ALIGNMENT
    | kinds.BPF_F_TEST_RND_HI32
    | kinds.BPF_F_TEST_STATE_FREQ
    | kinds.BPF_F_SLEEPABLE
    | kinds.BPF_F_XDP_HAS_FRAGS
    | kinds.BPF_F_XDP_DEV_BOUND_ONLY
    | kinds.BPF_F_TEST_REG_INVARIANTS
)
_HAS_ATTACH_BTF: Final = (ProgType.TRACING, ProgType.LSM, ProgType.STRUCT_OPS, ProgType.EXT)
RUNNABLE: Final = frozenset(
    {
        ProgType.SOCKET_FILTER,
        ProgType.KPROBE,
        ProgType.SCHED_CLS,
        ProgType.SCHED_ACT,
        ProgType.TRACEPOINT,
        ProgType.XDP,
        ProgType.PERF_EVENT,
        ProgType.RAW_TRACEPOINT,
        ProgType.RAW_TRACEPOINT_WRITABLE,
        ProgType.FLOW_DISSECTOR,
        ProgType.SYSCALL,
        ProgType.HOOK,
    }
)
"""Program types whose context the engine provides; the others are verified only."""

GPL_LICENSES: Final = ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")


@dataclass(frozen=True, slots=True)
class LoadArgs:
    """What a program is loaded with.  engine: 0 interpreter, 1 JIT."""

    insns: bytes
    type: int
    license: str = "GPL"
    name: str = ""
    flags: int = 0
    expected_attach_type: int = 0
    attach_btf_id: int = 0
    log_level: int = 0
    caps: str = "all"
    engine: int = 1
    btf: BtfObj | None = None
    debug: DebugInfo = DebugInfo()


class MapRefs:
    """The maps a program names, each with one reference: the verifier's MapSource.

    by_index looks into `indexed`, or asks `fd_at` for the fd at that index of fd_array.
    """

    def __init__(self, rt: Runtime, indexed: "tuple[MapObj, ...] | None" = None) -> None:
        self._rt = rt
        self._indexed = indexed
        self.used: dict[int, MapObj] = {}

    def by_fd(self, fd: int) -> MapDesc | None:
        """The map of an fd; None: it is no map."""
        try:
            obj = self._rt.fds.get(fd, MapObj)
        except Error:
            return None
        return self._keep(obj)

    def by_index(self, index: int) -> MapDesc | None:
        """The map at an index; None: there is none."""
        if self._indexed is None or not 0 <= index < len(self._indexed):
            return None
        obj = self._indexed[index]
        obj.get()
        return self._keep(obj)

    def _keep(self, obj: MapObj) -> MapDesc:
        if obj.id in self.used:
            obj.put()
        else:
            self.used[obj.id] = obj
        return obj.desc()

    def drop(self) -> None:
        """Put every reference: the load failed."""
        for obj in self.used.values():
            obj.put()
        self.used.clear()


def check_args(args: LoadArgs, count: int) -> ProgType:
    """Linux's checks before it looks at one of the `count` instructions; EINVAL, EPERM, E2BIG."""
    if args.flags & ~_FLAGS:
        raise Error(errno.EINVAL, f"prog_flags {args.flags:#x}, expected none beyond {_FLAGS:#x}")
    if args.caps not in MAX_INSNS:
        raise ValueError(f"caps is {args.caps!r}, expected one of {', '.join(MAX_INSNS)}")
    if not 0 <= args.log_level <= attr.LOG_MASK:
        raise Error(errno.EINVAL, f"log_level {args.log_level}, expected 0 to {attr.LOG_MASK}")
    if not 0 < count <= MAX_INSNS[args.caps]:
        raise Error(errno.E2BIG, f"{count} instructions, expected 1 to {MAX_INSNS[args.caps]}")
    try:
        kind = ProgType(args.type)
    except ValueError:
        raise Error(errno.EINVAL, f"program type {args.type} is unknown") from None
    _check_caps(kind, args.caps)
    _check_attach(kind, args)
    if kind == ProgType.UNSPEC:
        raise Error(errno.EINVAL, "program type 0 is no type")
    return kind


def _check_caps(kind: ProgType, caps: str) -> None:
    if caps == "all" or kind == ProgType.HOOK:
        return
    if caps == "none" and kind not in (ProgType.SOCKET_FILTER, ProgType.CGROUP_SKB):
        raise Error(errno.EPERM, f"{kind.name} programs need CAP_BPF, the caller has caps='none'")
    if kind in attach.PERFMON_TYPES:
        raise Error(errno.EPERM, f"{kind.name} programs need CAP_PERFMON, the caller has caps={caps!r}")


def _check_attach(kind: ProgType, args: LoadArgs) -> None:
    if args.attach_btf_id and kind not in _HAS_ATTACH_BTF:
        raise Error(errno.EINVAL, f"attach_btf_id {args.attach_btf_id} is not for {kind.name} programs")
    seen = args.expected_attach_type
    if kind in (ProgType.SYSCALL, ProgType.EXT) and seen:
        raise Error(errno.EINVAL, f"expected_attach_type {seen}, expected 0 for {kind.name}")
    allowed = attach.LOAD_TYPES.get(kind)
    if allowed is not None and attach_type(kind, seen) not in allowed:
        names = ", ".join(t.name for t in sorted(allowed))
        raise Error(errno.EINVAL, f"expected_attach_type {seen} of a {kind.name} program, expected one of {names}")


def attach_type(kind: ProgType, given: int) -> int:
    """expected_attach_type with Linux's default for 0."""
    return given or attach.LOAD_DEFAULT.get(kind, AttachType(0))


def load_prog(rt: Runtime, args: LoadArgs, refs: MapRefs) -> ProgObj:
    """A new program with an id and one reference, the caller's; VerifierError, Error.

    It takes over the references in `refs`, and one of `args.btf`; on failure all of them are put.
    """
    try:
        kind = check_args(args, len(args.insns) // 8)
        verified = verify(
            VerifierInput(
                insns=args.insns,
                prog_type=kind,
                license=args.license,
                expected_attach_type=attach_type(kind, args.expected_attach_type),
                prog_flags=args.flags,
                log_level=args.log_level,
                caps=args.caps,
                name=args.name,
                func_info=args.debug.funcs,
                line_info=args.debug.lines,
                attach_btf_id=args.attach_btf_id,
            ),
            refs,
        )
        prog = _make(args, verified, refs)
    except BaseException:
        refs.drop()
        raise
    refs.used.clear()  # They are the program's now.
    if args.btf is not None:
        args.btf.get()
    return rt.progs.add(prog)


def _make(args: LoadArgs, verified: VerifiedProgram, refs: MapRefs) -> ProgObj:
    from pyebpf.verify import fixups

    image = fixups.lower(verified)
    native_prog, why = _compile(args, verified, image, refs)
    prog = ProgObj(
        verified,
        native_prog,
        tuple(refs.used.values()),
        tag=tag_of(args.insns),
        xlated=image,
        engine=args.engine,
        gpl_compatible=args.license in GPL_LICENSES,
        btf=args.btf,
        debug=args.debug,
        why_not_runnable=why,
    )
    if native_prog is not None:
        for obj in prog.maps:
            obj.used_by(prog)
    return prog


def _compile(
    args: LoadArgs, verified: VerifiedProgram, image: bytes, refs: MapRefs
) -> "tuple[native.NativeProg | None, str]":
    """The native program, or None and what is missing for one."""
    if verified.prog_type not in RUNNABLE:
        return None, f"{verified.prog_type.name} programs have no native back end, verify only"
    maps = [refs.used[desc.id] for desc in verified.maps]
    for obj in maps:
        if not obj.runnable:
            return None, f"its map {obj.name or obj.id} is a {obj.type.name} without a native back end, verify only"
    try:
        prog = native.NativeProg(
            image,
            verified.facts,
            type=verified.prog_type,
            flags=verified.flags,
            subprogs=[(s.start, s.stack_depth, s.is_callback) for s in verified.subprogs],
            maps=[obj.elements() for obj in maps],
            max_insns=verified.max_insns,
            name=verified.name,
            engine=args.engine,
        )
    except Error as exc:
        if exc.errno != ENOTSUPP:
            raise
        return None, exc.strerror or "no native back end, verify only"
    return prog, ""


def tag_of(insns: bytes) -> bytes:
    """The program's 8-byte tag: of SHA-256 over the instructions, map references zeroed (Linux 6.18)."""
    code = bytearray(insns)
    at = 0
    while at < len(code):
        wide = code[at] == table.LD | table.IMM | table.DW
        if wide and code[at + 1] >> 4 in (table.PSEUDO_MAP_FD, table.PSEUDO_MAP_VALUE):
            code[at + 4 : at + 8] = code[at + 12 : at + 16] = bytes(4)
        at += 16 if wide else 8
    return hashlib.sha256(code).digest()[:8]
