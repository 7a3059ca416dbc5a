"""Commands on programs: load, test run, bind a map."""

import errno
import struct
from dataclasses import replace

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error, VerifierError
from pyebpf.runtime import debuginfo
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.call import Call
from pyebpf.runtime.load import LoadArgs, MapRefs, check_args, load_prog
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.progobj import ProgObj
from pyebpf.spec import attr
from pyebpf.spec.attr import FUNC_INFO_SIZE, LINE_INFO_SIZE
from pyebpf.spec.kinds import Cmd, ProgType
from pyebpf.spec.verified import MapDesc

_LOG_MAX = (1 << 32) - 1 >> 2


class UserMapRefs(MapRefs):
    """Maps by fd and by an fd_array in the caller's memory."""

    def __init__(self, call: Call) -> None:
        super().__init__(call.rt)
        self._fd_array = call["fd_array"]

    def by_index(self, index: int) -> MapDesc | None:
        """The map of fd_array[index]; EFAULT."""
        if not self._fd_array:
            return None
        fd = struct.unpack("<i", native.copy_from_user(self._fd_array + 4 * index, 4))[0]
        return self.by_fd(fd)

    def bind_all(self, call: Call) -> None:
        """fd_array_cnt: the program holds every map of the array, named by an instruction or not."""
        for index in range(call["fd_array_cnt"]):
            fd = struct.unpack("<i", native.copy_from_user(self._fd_array + 4 * index, 4))[0]
            obj, _ = call.rt.fds.peek(fd, object_kinds(call, fd))
            if isinstance(obj, MapObj):
                self.by_fd(fd)


def object_kinds(call: Call, fd: int) -> type[MapObj] | type[BtfObj]:
    """What an fd_array may hold."""
    return BtfObj if isinstance(call.rt.fds.file(fd).obj, BtfObj) else MapObj


def load(call: Call) -> int:
    """PROG_LOAD."""
    if call["prog_flags"] & attr.BPF_F_TOKEN_FD:
        raise call.no_token(call["prog_token_fd"])
    count = call["insn_cnt"]
    args = LoadArgs(
        insns=b"",
        type=call["prog_type"],
        flags=call["prog_flags"],
        expected_attach_type=call["expected_attach_type"],
        attach_btf_id=call["attach_btf_id"],
        log_level=call["log_level"],
        caps=call.caps,
    )
    check_args(args, count)
    _check_attach_target(call)
    insns = native.copy_from_user(call["insns"], 8 * count)
    license_text = native.string_from_user(call["license"], 127)
    if call["signature"]:
        raise Error(ENOTSUPP, "signed programs are not supported")
    if call["prog_ifindex"]:
        raise call.invalid(f"prog_ifindex {call['prog_ifindex']}", "0: no device runs programs here")
    args = replace(args, insns=insns, license=license_text.decode("latin-1"), name=call.name("prog_name"))
    _check_log(call)
    refs = UserMapRefs(call)
    try:
        refs.bind_all(call)
        prog = _verify(call, args, refs)
    except BaseException:
        refs.drop()
        raise
    return call.rt.fds.install(prog)


def _check_attach_target(call: Call) -> None:
    fd = call["attach_prog_fd"]
    if not fd:
        return
    if fd in call.rt.fds and isinstance(call.rt.fds.file(fd).obj, BtfObj):
        raise Error(ENOTSUPP, "attaching through a BTF object is not supported")
    if fd not in call.rt.fds or not isinstance(call.rt.fds.file(fd).obj, ProgObj):
        raise call.invalid(f"attach_prog_fd {fd}", "a program's fd")
    raise Error(ENOTSUPP, "programs that extend or trace other programs are not supported")


def _check_log(call: Call) -> None:
    size, level, buf = call["log_size"], call["log_level"], call["log_buf"]
    if bool(buf) != bool(size) or (buf and not level) or level & ~attr.LOG_MASK or size > _LOG_MAX:
        raise call.invalid(
            f"log_level {level}, log_size {size}, log_buf {buf:#x}", "all three or none, size below 2**30"
        )


def _verify(call: Call, args: LoadArgs, refs: MapRefs) -> ProgObj:
    """Load, and give the log to the caller either way."""
    error: Error | None = None
    prog = None
    log = ""
    try:
        args = _with_debug_info(call, args)
        prog = load_prog(call.rt, args, refs)
        log = prog.verified.log
    except VerifierError as exc:
        error, log = exc, exc.log
    try:
        _write_log(call, log)
    except Error:
        if prog is not None:
            prog.put()
        raise
    if error is not None:
        raise error
    assert prog is not None
    return prog


def _with_debug_info(call: Call, args: LoadArgs) -> LoadArgs:
    """Read func_info and line_info, which want BTF."""
    if not call["func_info_cnt"] and not call["line_info_cnt"]:
        return args
    btf, _ = call.rt.fds.peek(call["prog_btf_fd"], BtfObj)
    func_bytes = line_bytes = b""
    if call["func_info_cnt"]:
        func_bytes = _records(call, "func_info", FUNC_INFO_SIZE, "func info")
    if call["line_info_cnt"]:
        line_bytes = _records(call, "line_info", LINE_INFO_SIZE, "line_info")
    return replace(args, btf=btf, debug=debuginfo.from_bytes(func_bytes, line_bytes, btf, args.insns))


def _records(call: Call, member: str, known: int, what: str) -> bytes:
    """func_info or line_info; for records with unknown members the caller learns how many bytes are known."""
    try:
        return debuginfo.read_records(call[member], call[f"{member}_cnt"], call[f"{member}_rec_size"], known, what)
    except VerifierError as exc:
        if exc.errno == errno.E2BIG:
            call.put(f"{member}_rec_size", known)
        raise


def _write_log(call: Call, text: str) -> None:
    """The log as Linux leaves it: its end (LOG_FIXED: its begin) and a NUL; ENOSPC when it did not fit."""
    level, size, buf = call["log_level"], call["log_size"], call["log_buf"]
    if not level:
        _put_true_size(call, 0)
        return
    log = text.encode("utf-8", "replace")
    true_size = len(log) + 1 if log else 0
    fits = true_size <= size
    if buf and log:
        shown = log if fits else log[: size - 1] if level & attr.LOG_FIXED else log[len(log) - size + 1 :]
        native.copy_to_user(buf, shown + b"\0")
    _put_true_size(call, true_size)
    if buf and not fits:
        raise Error(errno.ENOSPC, f"the verifier log is {true_size} bytes, log_size {size}")


def _put_true_size(call: Call, value: int) -> None:
    if call.user.size >= 144:
        call.put("log_true_size", value)


def test_run(call: Call) -> int:
    """PROG_TEST_RUN."""
    for way in ("in", "out"):
        if bool(call[f"ctx_size_{way}"]) != bool(call[f"ctx_{way}"]):
            raise call.invalid(f"ctx_size_{way} {call[f'ctx_size_{way}']} at {call[f'ctx_{way}']:#x}", "both or none")
    prog, _ = call.rt.fds.peek(call["prog_fd"], ProgObj)
    executable = prog.executable()
    _check_test_options(call, prog.type)
    data = native.copy_from_user(call["data_in"], call["data_size_in"]) if call["data_size_in"] else b""
    ctx = native.copy_from_user(call["ctx_in"], call["ctx_size_in"]) if call["ctx_in"] else None
    retval, data_out, ctx_out, duration_ns = executable.test_run(data, ctx, call["repeat"] or 1)
    if prog.type == ProgType.SYSCALL and ctx_out:
        native.copy_to_user(call["ctx_in"], ctx_out)
    short = _give_back(call, "ctx", ctx_out or b"") | _give_back(call, "data", data_out or b"")
    call.put("retval", retval & 0xFFFFFFFF)
    call.put("duration", min(duration_ns, 0xFFFFFFFF))
    if short:
        raise Error(errno.ENOSPC, "PROG_TEST_RUN: an output buffer is too small; its size member says what is needed")
    return 0


_RAW = (ProgType.RAW_TRACEPOINT, ProgType.RAW_TRACEPOINT_WRITABLE)
_RUN_ON_CPU, _XDP_LIVE_FRAMES = 1, 2


def _check_test_options(call: Call, kind: ProgType) -> None:
    """What each type's test run takes beside its input; EINVAL, ENXIO, ENOTSUPP."""
    refused = ["flags", "cpu", "batch_size"]
    if kind in _RAW:
        refused = ["data_in", "data_out", "ctx_out", "duration", "repeat", "batch_size"]
        if call["flags"] & ~_RUN_ON_CPU or (call["cpu"] and not call["flags"]):
            raise call.invalid(f"flags {call['flags']:#x}, cpu {call['cpu']}", "BPF_F_TEST_RUN_ON_CPU with a CPU")
        if call["cpu"] >= native.nr_vcpus():
            raise Error(errno.ENXIO, f"cpu {call['cpu']}, expected below {native.nr_vcpus()}")
    elif kind == ProgType.SYSCALL:
        refused = ["data_in", "data_out", "ctx_out", "duration", "repeat", "flags", "batch_size"]
    elif kind == ProgType.XDP:
        refused = ["flags", "batch_size"]
        if call["flags"] == _XDP_LIVE_FRAMES:
            raise Error(ENOTSUPP, "BPF_F_TEST_XDP_LIVE_FRAMES sends frames to devices; there are none here")
    for name in refused:
        if call[name]:
            raise call.invalid(f"{name} {call[name]:#x} for a {kind.name} program", "0")


def _give_back(call: Call, what: str, content: bytes) -> bool:
    """Copy out as much as there is room for and write the whole size; True when it was cut.

    As in Linux, data_size_out 0 with data_out set means "unknown": everything is copied.
    """
    room = call[f"{what}_size_out"]
    cut = bool(room) and len(content) > room
    if call[f"{what}_out"]:
        native.copy_to_user(call[f"{what}_out"], content[:room] if cut else content)
    if call[f"{what}_out"] or what == "data":
        call.put(f"{what}_size_out", len(content))
    return cut and bool(call[f"{what}_out"])


def bind_map(call: Call) -> int:
    """PROG_BIND_MAP."""
    if call["flags"]:
        raise call.invalid(f"flags {call['flags']:#x}", "0")
    prog, _ = call.rt.fds.peek(call["prog_fd"], ProgObj)
    prog.bind_map(call.rt.fds.get(call["map_fd"], MapObj))
    return 0


COMMANDS = {Cmd.PROG_LOAD: load, Cmd.PROG_TEST_RUN: test_run, Cmd.PROG_BIND_MAP: bind_map}
