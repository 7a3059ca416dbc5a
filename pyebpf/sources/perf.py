"""perf_event_open(2) for trace points: one event a CPU, or one for a process."""

import ctypes
import errno
import fcntl
import os
import pathlib
import struct

from pyebpf.errors import Error

SYS_PERF_EVENT_OPEN = 298  # x86-64
PERF_TYPE_TRACEPOINT = 2
PERF_SAMPLE_CALLCHAIN = 1 << 5
PERF_SAMPLE_RAW = 1 << 10
PERF_FLAG_FD_CLOEXEC = 1 << 3
PERF_EVENT_IOC_ENABLE = 0x2400
PERF_EVENT_IOC_DISABLE = 0x2401
PERF_EVENT_IOC_SET_FILTER = 0x40082406
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5
_DISABLED = 1 << 0


def _attr(config: int, callchain: bool) -> bytearray:
    """A struct perf_event_attr.

    0 type:u32 | 4 size:u32 | 8 config:u64 | 16 sample_period:u64 | 24 sample_type:u64 | 32 read_format:u64 |
    40 flags:u64 | 48 wakeup_events:u32 | ...
    """
    sample = PERF_SAMPLE_RAW | (PERF_SAMPLE_CALLCHAIN if callchain else 0)
    attr = bytearray(_ATTR_SIZE)
    struct.pack_into("<IIQQQQQI", attr, 0, PERF_TYPE_TRACEPOINT, _ATTR_SIZE, config, 1, sample, 0, _DISABLED, 1)
    return attr


def perf_event_open(
    config: int, *, pid: int = -1, cpu: int = -1, callchain: bool = False, wakeup_bytes: int = 0
) -> int:
    """A disabled event for trace point number `config`; the fd.

    pid -1 with a cpu: everything on that CPU; pid with cpu -1: that process.  Readers are woken by each record.
    Errors: EACCES (privileges), EINVAL, ENODEV (no such CPU).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    attr = (ctypes.c_char * _ATTR_SIZE).from_buffer(_attr(config, callchain))
    fd = libc.syscall(SYS_PERF_EVENT_OPEN, attr, pid, cpu, -1, ctypes.c_ulong(PERF_FLAG_FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise Error(code, f"perf_event_open of trace point {config}, pid {pid}, cpu {cpu}: {os.strerror(code)}")
    return int(fd)


def online_cpus() -> list[int]:
    """Numbers of the CPUs that are online."""
    cpus: list[int] = []
    for part in pathlib.Path("/sys/devices/system/cpu/online").read_text().strip().split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus


def set_filter(fd: int, expression: str) -> None:
    """Have the kernel drop records that do not match, e.g. "protocol == 0x88b5"; EINVAL if it cannot be read."""
    try:
        fcntl.ioctl(fd, PERF_EVENT_IOC_SET_FILTER, expression.encode() + b"\0")
    except OSError as err:
        raise Error(err.errno or errno.EINVAL, f"filter {expression!r}: {os.strerror(err.errno or 0)}") from err


def enable(fd: int, on: bool = True) -> None:
    """Start or stop an event."""
    fcntl.ioctl(fd, PERF_EVENT_IOC_ENABLE if on else PERF_EVENT_IOC_DISABLE, 0)
