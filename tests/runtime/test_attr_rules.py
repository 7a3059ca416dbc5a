"""What bpf(2) says of attr itself: sizes, unknown bytes, unknown commands, addresses. Linux answers each the same."""

import ctypes
import errno
import os
import struct

import numpy as np
import pytest

import pyebpf.syscall as sc
from pyebpf import Map
from pyebpf.spec.attr import ATTR, ATTR_SIZE
from pyebpf.spec.kinds import Cmd
from tests.runtime.duo import Side, create, same

COMMANDS = [cmd for cmd in Cmd if cmd not in (Cmd.TASK_FD_QUERY, Cmd.ITER_CREATE, Cmd.TOKEN_CREATE)]


@pytest.mark.parametrize("cmd", [*Cmd, 38, 39, 1000, 2**31 - 1])
def test_every_byte_behind_the_last_member_is_refused_as_by_linux(cmd: int) -> None:
    end = ATTR[Cmd(cmd)].end if cmd in ATTR else 0

    def script(side: Side) -> None:
        for at in range(end, 176):
            attr = bytearray(max(ATTR_SIZE, at + 1))
            attr[at] = 1
            side.note(f"byte {at}", side.raw(cmd, attr))

    steps = same(script)
    assert dict(steps)["byte 168"] == "E2BIG"


@pytest.mark.parametrize("size", [0, 1, 3, 4, 8, 168, 169, 4095, 4096, 4097, 1 << 20])
def test_size_of_attr(size: int) -> None:
    def script(side: Side) -> None:
        for cmd in (Cmd.MAP_CREATE, Cmd.PROG_LOAD, 38):
            side.note(f"{cmd}", side.raw(cmd, bytearray(size)))

    same(script)


def test_short_attr_is_filled_with_zeros() -> None:
    def script(side: Side) -> None:
        attr = ATTR[Cmd.MAP_CREATE].pack(map_type=1, key_size=4, value_size=8, max_entries=4)
        for size in range(24):
            side.note(f"{size} bytes", side.raw(Cmd.MAP_CREATE, bytearray(attr[:size])))

    assert dict(same(script))["16 bytes"] == "fd"


def test_bad_addresses_are_efault() -> None:
    def script(side: Side) -> None:
        fd = create(side)
        key, value = side.mem(b"\1\0\0\0"), side.mem(8)
        side.step("store", Cmd.MAP_UPDATE_ELEM, map_fd=fd, key=key, value=value)
        for address in (0, 1, 0x1000, 1 << 46, (1 << 47) - 4, 1 << 63, (1 << 64) - 4):
            for cmd in (Cmd.MAP_LOOKUP_ELEM, Cmd.MAP_UPDATE_ELEM, Cmd.MAP_LOOKUP_AND_DELETE_ELEM):
                side.step(f"{cmd.name} key {address:#x}", cmd, map_fd=fd, key=address, value=value)
                side.step(f"{cmd.name} value {address:#x}", cmd, map_fd=fd, key=key, value=address)
                side.step("store", Cmd.MAP_UPDATE_ELEM, map_fd=fd, key=key, value=value)
            side.step(f"delete {address:#x}", Cmd.MAP_DELETE_ELEM, map_fd=fd, key=address)
            if address:
                side.step(f"next {address:#x}", Cmd.MAP_GET_NEXT_KEY, map_fd=fd, key=address, next_key=value)
            side.step(f"to {address:#x}", Cmd.MAP_GET_NEXT_KEY, map_fd=fd, key=0, next_key=address)
            side.step(f"info {address:#x}", Cmd.OBJ_GET_INFO_BY_FD, bpf_fd=fd, info_len=80, info=address)
            side.step(f"path {address:#x}", Cmd.OBJ_GET, pathname=address)

    same(script)


def test_buffer_kinds() -> None:
    class Attr(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint32 * 18)]

    words = [1, 4, 8, 4]
    structure = Attr()
    structure.bytes[:4] = words
    array = np.zeros(18, np.uint32)
    array[:4] = words
    address = array.ctypes.data
    for attr, size in (
        (structure, None),
        (ctypes.byref(structure), None),
        (ctypes.pointer(structure), 72),
        (array, None),
        (array.view(np.uint8), None),
        (address, 72),
        (ctypes.c_void_p(address), 72),
        (bytearray(array), None),
        (bytes(array), None),
        (memoryview(array), None),
    ):
        sc.close(sc.bpf(Cmd.MAP_CREATE, attr, size))


def test_results_do_not_go_beyond_the_buffer() -> None:
    fd = sc.bpf_create_map(1, 4, 8, 4)
    for attr in (bytearray(4), bytes(8)):
        with pytest.raises(OSError) as caught:
            sc.bpf(Cmd.MAP_GET_NEXT_ID, attr)
        assert caught.value.errno == errno.EFAULT
    with pytest.raises(OSError) as caught:
        sc.bpf(Cmd.MAP_GET_NEXT_ID, bytearray(8), 9)
    assert caught.value.errno == errno.EFAULT
    sc.close(fd)


def test_errors_name_what_was_seen() -> None:
    with pytest.raises(OSError, match="bpf command 99 is unknown"):
        sc.bpf(99, bytearray(4))
    with pytest.raises(OSError, match=r"attr has non-zero bytes behind the 168"):
        sc.bpf(0, bytearray(168) + b"\1")
    with pytest.raises(ValueError, match="backend"):
        sc.bpf(0, bytearray(168), backend="moon")


def refuse_process_vm() -> None:
    """A seccomp filter for this process: process_vm_readv and process_vm_writev are EPERM, as in some sandboxes."""
    load_nr, jump_equal, ret = 0x20, 0x15, 0x06
    filters = b"".join(
        struct.pack("<HBBI", *row)
        for row in (
            (load_nr, 0, 0, 0),
            (jump_equal, 1, 0, 310),
            (jump_equal, 0, 1, 311),
            (ret, 0, 0, 0x00050000 | errno.EPERM),
            (ret, 0, 0, 0x7FFF0000),
        )
    )
    code = ctypes.create_string_buffer(filters)
    program = struct.pack("<HxxxxxxQ", 5, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def test_where_the_kernel_refuses_to_copy_bpf_says_enosys_and_objects_work_on() -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            refuse_process_vm()
            with Map.create("hash", "u4", "u4", 4) as m:
                m[1] = 2
                assert m[1] == 2
                key = ctypes.c_uint32(1)
                attr = ATTR[Cmd.MAP_LOOKUP_ELEM].pack(map_fd=m.fd, key=ctypes.addressof(key), value=0)
                try:
                    sc.bpf(Cmd.MAP_LOOKUP_ELEM, attr)
                except OSError as exc:
                    code = 0 if exc.errno == errno.ENOSYS else 3
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
