"""Programs of the running kernel: load with the verifier's log, test-run, read back."""

import errno
import os
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyebpf.isa.insn import Insn, encode
from pyebpf.spec.kinds import Cmd, ProgType
from tests.linux.sys import Buffer, Fd, attr, bpf, member

LOG_SIZES = (1 << 16, 1 << 20, 1 << 24, 1 << 28)
_log_buffers: dict[int, Buffer] = {}


@dataclass(frozen=True)
class TestRun:
    """What PROG_TEST_RUN gives; duration_ns is the mean of one run."""

    retval: int
    data_out: bytes
    ctx_out: bytes
    duration_ns: int

    __test__ = False


@dataclass(frozen=True)
class ProgInfo:
    """Of struct bpf_prog_info; map_ids in the kernel's order."""

    id: int
    tag: bytes
    name: str
    xlated: bytes
    jited: bytes
    map_ids: tuple[int, ...]
    verified_insns: int
    run_time_ns: int
    run_cnt: int


@dataclass(frozen=True)
class Verdict:
    """errno (0: accepted) and the verifier's log."""

    errno: int
    log: str

    @property
    def accepted(self) -> bool:
        """The program was loaded."""
        return self.errno == 0

    @property
    def message(self) -> str:
        """The reason for a refusal, else ""."""
        return "" if self.accepted else reason(self.log)


class LoadError(OSError):
    """PROG_LOAD was refused; `log` is the verifier's."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(code, f"{os.strerror(code)}: {reason(log) or log[-300:]}")
        self.log = log


_STATE = (
    *("func#", "from ", "mark_precise", "verification time", "stack depth", "processed ", "; ", "max_states"),
    *("caller:", "callee:", "returning from", "to caller at", "propagating ", " R", " frame", "(", "Live regs", "  "),
)
_AT = re.compile(r"\d+: (?:\([0-9a-f]{2}\)|BUG_)", re.ASCII)


def reason(log: str) -> str:
    """Why a program was refused: the first message after the last instruction of the log; "" if there is none."""
    lines = log.splitlines()
    last = max((n for n, line in enumerate(lines) if _AT.match(line)), default=-1)
    for line in lines[last + 1 :]:
        text = line.partition("processed ")[0]
        if text and not text.startswith(_STATE) and not text.split(":", 1)[0].isdigit():
            return text
    return ""


def _code(insns: bytes | Iterable[Insn]) -> bytes:
    return bytes(insns) if isinstance(insns, bytes | bytearray | memoryview) else encode(insns)


def _records(rows: Sequence[Sequence[int]], width: int) -> Buffer:
    return Buffer(b"".join(struct.pack(f"={width}I", *row) for row in rows))


@dataclass(frozen=True)
class _Load:
    """The buffers of one PROG_LOAD, alive until the call has returned."""

    head: tuple[object, ...]
    tail: tuple[object, ...]
    keep: tuple[Buffer, ...]

    def attempt(self, log_level: int, log_size: int) -> tuple[int, int, str]:
        """(fd or -1, errno, log)."""
        buf = _log_buffers.setdefault(log_size, Buffer(log_size)) if log_level else None
        if buf is not None:
            buf._mem[0] = b"\0"
        log = (log_level, log_size, buf.addr) if buf else (0, 0, 0)
        data = attr("IIQQIIQII16sIIIIQIIQIIIIQQIIiI", *self.head, *log, *self.tail)
        try:
            fd, code = bpf(Cmd.PROG_LOAD, data), 0
        except OSError as e:
            fd, code = -1, e.errno or 0
        if buf is None:
            return fd, code, ""
        used = struct.unpack_from("=I", data, 140)[0] or log_size
        return fd, code, buf.head(used).split(b"\0", 1)[0].decode(errors="replace")


def _load(
    insns: bytes | Iterable[Insn],
    type: ProgType | int | str,
    *,
    license: str = "GPL",
    log_level: int = 0,
    expected_attach_type: int = 0,
    flags: int = 0,
    name: str = "",
    btf: Fd | None = None,
    func_info: Sequence[Sequence[int]] = (),
    line_info: Sequence[Sequence[int]] = (),
    attach_btf_id: int = 0,
    attach_fd: Fd | None = None,
    fd_array: Sequence[Fd | int] = (),
    kern_version: int = 0,
) -> tuple[int, int, str]:
    """Load as `prog_load` says; (fd or -1, errno, log)."""
    code = _code(insns)
    image, lic = Buffer(code), Buffer(license.encode() + b"\0")
    funcs, lines = _records(func_info, 2), _records(line_info, 4)
    fds = Buffer(b"".join(struct.pack("=i", f if isinstance(f, int) else f.fd) for f in fd_array))
    call = _Load(
        (member(ProgType, type), len(code) // 8, image.addr, lic.addr),
        (
            *(kern_version, flags, os.fsencode(name), 0, expected_attach_type, btf.fd if btf else 0),
            *(8 if func_info else 0, funcs.addr, len(func_info), 16 if line_info else 0, lines.addr, len(line_info)),
            *(attach_btf_id, attach_fd.fd if attach_fd else 0, 0, fds.addr, 0, 0, 0, 0, 0),
        ),
        (image, lic, funcs, lines, fds),
    )
    for size in LOG_SIZES:
        fd, err, log = call.attempt(log_level, size)
        if err != errno.ENOSPC or not log_level:
            break
    return fd, err, log


class Prog(Fd):
    """A loaded program; `log` is what the verifier said."""

    def __init__(self, fd: int, type: ProgType, log: str = "") -> None:
        super().__init__(fd)
        self.type, self.log = type, log

    def test_run(
        self,
        data: bytes | None = None,
        ctx: bytes | None = None,
        repeat: int = 1,
        *,
        data_size_out: int | None = None,
        flags: int = 0,
        cpu: int = 0,
    ) -> TestRun:
        """PROG_TEST_RUN. Packet types want at least 14 bytes of `data`; syscall and raw_tracepoint only `ctx`,
        and have no duration; a syscall program's ctx_out is what it left in its context.

        data_out is bounded by data_size_out (default: as much as went in and 512 more), ctx_out by len(ctx).
        """
        din, cin = Buffer(data or b""), Buffer(ctx or b"")
        dout = Buffer(0 if data is None else len(data) + 512 if data_size_out is None else data_size_out)
        bare = self.type in (ProgType.SYSCALL, ProgType.RAW_TRACEPOINT)
        cout = Buffer(len(ctx) if ctx is not None and not bare else 0)
        repeat = 0 if bare else repeat
        sizes = len(din.raw), len(dout.raw), len(cin.raw), len(cout.raw)
        a = attr(
            "iIIIQQIIIIQQIII",
            *(self.fd, 0, sizes[0], sizes[1], din.addr, dout.addr, repeat, 0, sizes[2], sizes[3], cin.addr, cout.addr),
            *(flags, cpu, 0),
        )
        bpf(Cmd.PROG_TEST_RUN, a)
        _, retval, _, dsize, _, _, _, duration, _, csize = struct.unpack_from("=IIIIQQIIII", a)
        ctx_out = cin.raw if self.type == ProgType.SYSCALL else cout.raw[:csize]
        return TestRun(retval, dout.raw[:dsize], ctx_out, duration)

    def info(self) -> ProgInfo:
        """OBJ_GET_INFO_BY_FD, with the translated and the compiled program."""
        first = self._info(bytearray(INFO_SIZE))
        jited_len, xlated_len = struct.unpack_from("=II", first, 16)
        n_maps = struct.unpack_from("=I", first, 52)[0]
        jited, xlated, maps = Buffer(jited_len), Buffer(xlated_len), Buffer(4 * n_maps)
        ask = bytearray(INFO_SIZE)
        struct.pack_into("=IIQQ", ask, 16, jited_len, xlated_len, jited.addr, xlated.addr)
        struct.pack_into("=IQ", ask, 52, n_maps, maps.addr)
        got = self._info(ask)
        run_time, run_cnt, _, verified = struct.unpack_from("=QQQI", got, 192)
        return ProgInfo(
            id=struct.unpack_from("=I", got, 4)[0],
            tag=bytes(got[8:16]),
            name=bytes(got[64:80]).split(b"\0")[0].decode(),
            xlated=xlated.raw,
            jited=jited.raw,
            map_ids=struct.unpack(f"={n_maps}I", maps.raw),
            verified_insns=verified,
            run_time_ns=run_time,
            run_cnt=run_cnt,
        )

    def _info(self, record: bytearray) -> bytearray:
        buf = Buffer(record)
        bpf(Cmd.OBJ_GET_INFO_BY_FD, attr("iIQ", self.fd, len(record), buf.addr))
        return bytearray(buf.raw)


INFO_SIZE = 232


def prog_load(insns: bytes | Iterable[Insn], type: ProgType | int | str, **options: object) -> Prog:
    """PROG_LOAD: a Prog, or LoadError with the log.

    license="GPL", log_level=0 (1, 2; +4: statistics), expected_attach_type=0, flags=0, name="", btf=Fd,
    func_info=[(insn_off, type_id)], line_info=[(insn_off, file_name_off, line_off, line << 10 | column)],
    attach_btf_id=0, attach_fd=Fd, fd_array=[Fd | int], kern_version=0.
    The log buffer grows until the log fits.
    """
    fd, code, log = _load(insns, type, **options)  # type: ignore[arg-type]
    if fd < 0:
        raise LoadError(code, log)
    return Prog(fd, ProgType(member(ProgType, type)), log)


def verdict(insns: bytes | Iterable[Insn], type: ProgType | int | str, **options: object) -> Verdict:
    """What Linux decides of a program; options as `prog_load`, but log_level is 1 unless given."""
    fd, code, log = _load(insns, type, **{"log_level": 1, **options})  # type: ignore[arg-type]
    if fd >= 0:
        os.close(fd)
    return Verdict(code, log)


def btf_load(data: bytes) -> Fd:
    """BTF_LOAD of a raw BTF blob; OSError with the log's last line when refused."""
    blob, log = Buffer(data), Buffer(1 << 16)
    a = attr("QQIIII", blob.addr, log.addr, len(data), 1 << 16, 1, 0)
    try:
        return Fd(bpf(Cmd.BTF_LOAD, a))
    except OSError as e:
        text = log.raw.split(b"\0", 1)[0].decode(errors="replace").strip().splitlines()
        raise OSError(e.errno, text[-1] if text else e.strerror) from None
