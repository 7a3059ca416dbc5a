"""The other back end: the running kernel's bpf(2), given the same bytes."""

import ctypes
import errno
import os
import platform
import sys
from pathlib import Path

from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime import mapobj
from pyebpf.runtime.call import AttrBuffer
from pyebpf.spec import attr
from pyebpf.spec.kinds import Cmd

_NUMBERS = {"x86_64": 321, "aarch64": 280}


def syscall(cmd: int, user: AttrBuffer) -> int:
    """bpf(2) of the kernel; its fds are the system's."""
    number = _NUMBERS.get(platform.machine())
    if number is None or sys.platform != "linux":
        raise Error(errno.ENOSYS, f"bpf(2) has no number on {sys.platform} {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, cmd, ctypes.c_void_p(user.address), ctypes.c_uint(user.size))
    if result < 0:
        code = ctypes.get_errno()
        name = Cmd(cmd).name if cmd in Cmd._value2member_map_ else str(cmd)
        text = "operation not supported by the kernel" if code == ENOTSUPP else os.strerror(code)
        raise Error(code, f"Linux: {name}: {text}")
    return result


def close(fd: int) -> None:
    """close(2) of a system fd; a negative one is closed already."""
    if fd >= 0:
        os.close(fd)


def map_sizes(fd: int) -> tuple[int, int]:
    """Bytes of a key and of a value as user space sees it, of a kernel map."""
    try:
        info = _info(fd, attr.MAP_INFO.pack(), attr.MAP_INFO)
    except Error as exc:
        # As every map command has it; only OBJ_GET_INFO_BY_FD says EBADFD.
        code = errno.EBADF if exc.errno == errno.EBADFD else exc.errno or errno.EINVAL
        raise Error(code, exc.strerror or "") from None
    kind, key_size, value_size = info["type"], info["key_size"], info["value_size"]
    if kind in mapobj.PERCPU:
        value_size = (value_size + 7 & ~7) * possible_cpus()
    elif kind in mapobj.OF_FDS:
        value_size = 4
    return key_size, value_size


def read_array(fd: int, layout: attr.Layout, pointer: str, length: str, width: int = 1) -> bytes:
    """What an info struct's pointer member leads to: asked for its length first, then for the content."""
    count = _info(fd, layout.pack(), layout)[length]
    content = ctypes.create_string_buffer(max(count * width, 1))
    got = _info(fd, layout.pack(**{length: count, pointer: ctypes.addressof(content)}), layout)[length]
    return content.raw[: min(count, got) * width]


def _info(fd: int, info: bytearray, layout: attr.Layout) -> dict[str, int]:
    pin = (ctypes.c_char * len(info)).from_buffer(info)
    request = attr.ATTR[Cmd.OBJ_GET_INFO_BY_FD].pack(bpf_fd=fd, info_len=len(info), info=ctypes.addressof(pin))
    syscall(Cmd.OBJ_GET_INFO_BY_FD, AttrBuffer(request, None))
    return {name: value for name, value in layout.unpack(info).items() if isinstance(value, int)}


def possible_cpus() -> int:
    """CPUs a per-CPU value of the kernel has room for."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return sum(int(last or first) - int(first) + 1 for first, _, last in (r.partition("-") for r in text.split(",")))
