"""A program written in ctypes for syscall(SYS_bpf, ...), as people write them: only `syscall` and `close` are replaced.

The program below knows nothing of pyebpf. It runs once on libc and once on us, and prints the same.
"""

import ctypes
from collections.abc import Callable

import pyebpf
from tests import require

SYS_BPF = 321
libc = ctypes.CDLL(None, use_errno=True)


class MapCreate(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("map_type", "key_size", "value_size", "max_entries", "map_flags")]


class MapElem(ctypes.Structure):
    _fields_ = [
        ("map_fd", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    ]


class ProgLoad(ctypes.Structure):
    _fields_ = [
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
    ]


class TestRun(ctypes.Structure):
    __test__ = False
    _fields_ = [
        *[(n, ctypes.c_uint32) for n in ("prog_fd", "retval", "data_size_in", "data_size_out")],
        ("data_in", ctypes.c_uint64),
        ("data_out", ctypes.c_uint64),
        ("repeat", ctypes.c_uint32),
        ("duration", ctypes.c_uint32),
    ]


class Id(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("start_id", "next_id", "open_flags")]


class Info(ctypes.Structure):
    _fields_ = [("bpf_fd", ctypes.c_uint32), ("info_len", ctypes.c_uint32), ("info", ctypes.c_uint64)]


class MapInfo(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("type", "id", "key_size", "value_size", "max_entries", "map_flags")]


class Insn(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint8),
        ("regs", ctypes.c_uint8),
        ("off", ctypes.c_int16),
        ("imm", ctypes.c_int32),
    ]


def program(syscall: Callable[..., int], close: Callable[[int], int], out: Callable[[str], None]) -> None:
    """Create, fill, iterate, load, test-run, ids."""
    attr = MapCreate(1, 4, 8, 16, 0)
    fd = syscall(SYS_BPF, 0, ctypes.byref(attr), ctypes.sizeof(attr))
    out(f"map {fd > 0}")

    for i in range(5):
        key, value = ctypes.c_uint32(i), ctypes.c_uint64(i * 100)
        elem = MapElem(fd, ctypes.addressof(key), ctypes.addressof(value), 0)
        out(f"update {syscall(SYS_BPF, 2, ctypes.byref(elem), ctypes.sizeof(elem))}")
    elem.flags = 1
    out(f"again {syscall(SYS_BPF, 2, ctypes.byref(elem), ctypes.sizeof(elem))} {ctypes.get_errno()}")

    found = []
    key, following, value = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_uint64()
    elem = MapElem(fd, 0, ctypes.addressof(following), 0)
    while syscall(SYS_BPF, 4, ctypes.byref(elem), ctypes.sizeof(elem)) == 0:
        key.value = following.value
        elem.key = ctypes.addressof(key)
        get = MapElem(fd, ctypes.addressof(key), ctypes.addressof(value), 0)
        assert syscall(SYS_BPF, 1, ctypes.byref(get), ctypes.sizeof(get)) == 0
        found.append((key.value, value.value))
    out(f"found {sorted(found)} {ctypes.get_errno()}")

    # r1 = map; *(u32 *)(r10 - 4) = 2; r2 = r10 - 4; call map_lookup_elem; if r0: *(u64 *)r0 += 1; r0 = 2; exit
    insns = (Insn * 12)(
        Insn(0x18, 0x11, 0, fd), Insn(), Insn(0x62, 10, -4, 2), Insn(0xBF, 0xA2, 0, 0), Insn(0x07, 2, 0, -4),
        Insn(0x85, 0, 0, 1), Insn(0x15, 0, 2, 0), Insn(0xB7, 1, 0, 1), Insn(0xDB, 0x10, 0, 0),
        Insn(0xB7, 0, 0, 2), Insn(0x95, 0, 0, 0), Insn(0x95, 0, 0, 0),
    )  # fmt: skip
    license_text = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(1 << 16)
    load = ProgLoad(1, 11, ctypes.addressof(insns), ctypes.addressof(license_text))
    load.log_level, load.log_size, load.log_buf = 1, len(log), ctypes.addressof(log)
    load.prog_name = b"adder"
    prog = syscall(SYS_BPF, 5, ctypes.byref(load), ctypes.sizeof(load))
    out(f"program {prog > 0} {log.value.decode()}")

    load.insn_cnt = 1
    ctypes.memmove(insns, bytes(Insn(0x95, 0, 0, 0)), 8)
    out(f"refused {syscall(SYS_BPF, 5, ctypes.byref(load), ctypes.sizeof(load))} {ctypes.get_errno()}")
    out(log.value.decode())

    packet = ctypes.create_string_buffer(64)
    run = TestRun(prog_fd=prog, data_size_in=64, data_in=ctypes.addressof(packet), repeat=7)
    out(f"run {syscall(SYS_BPF, 10, ctypes.byref(run), ctypes.sizeof(run))} {run.retval} {run.data_size_out}")
    key.value = 2
    syscall(SYS_BPF, 1, ctypes.byref(get), ctypes.sizeof(get))
    out(f"counted {value.value}")

    info = MapInfo()
    ask = Info(fd, ctypes.sizeof(info), ctypes.addressof(info))
    out(f"info {syscall(SYS_BPF, 15, ctypes.byref(ask), ctypes.sizeof(ask))} {info.type} {info.max_entries}")
    close(fd)
    by_id = Id(info.id)
    again = syscall(SYS_BPF, 14, ctypes.byref(by_id), ctypes.sizeof(by_id))
    out(f"by id {again > 0}")
    ids = Id(info.id - 1)
    out(f"next {syscall(SYS_BPF, 12, ctypes.byref(ids), ctypes.sizeof(ids))} {ids.next_id == info.id}")
    bad = MapElem(again, 8, ctypes.addressof(value), 0)
    out(f"bad pointer {syscall(SYS_BPF, 1, ctypes.byref(bad), ctypes.sizeof(bad))} {ctypes.get_errno()}")
    close(again)
    close(prog)
    out(f"closed {close(prog)} {ctypes.get_errno()}")


def our_syscall(number: int, cmd: int, attr: object, size: int) -> int:
    """syscall(2), as far as it is bpf(2)."""
    assert number == SYS_BPF
    try:
        return pyebpf.bpf(cmd, attr, size)
    except OSError as exc:
        ctypes.set_errno(exc.errno or 0)
        return -1


def our_close(fd: int) -> int:
    """close(2)."""
    try:
        pyebpf.close(fd)
    except OSError as exc:
        ctypes.set_errno(exc.errno or 0)
        return -1
    return 0


def lines(syscall: Callable[..., int], close: Callable[[int], int]) -> list[str]:
    """What the program prints."""
    printed: list[str] = []
    program(syscall, close, printed.append)
    return printed


def test_works_with_only_the_call_and_close_replaced() -> None:
    here = lines(our_syscall, our_close)
    assert "found [(0, 0), (1, 100), (2, 200), (3, 300), (4, 400)] 2" in here
    assert "counted 207" in here
    assert "bad pointer -1 14" in here


def test_prints_what_it_prints_on_linux() -> None:
    require.linux()
    assert lines(our_syscall, our_close) == lines(libc.syscall, libc.close)
