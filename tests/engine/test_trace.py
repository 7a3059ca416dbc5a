"""trace_printk and its formats against Linux, the trace pipe, and helpers about the running thread."""

import os
import re
import subprocess
import threading
import time

import pytest

from pyebpf import native
from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import encode
from pyebpf.native import NativeProg
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import ProgFlag
from tests import linux, require
from tests.engine.images import load_native

XDP = ProgType.XDP


@pytest.fixture(autouse=True)
def empty_pipe() -> None:
    while native.trace_read(0) is not None:
        pass


def stores(data: bytes, at: int) -> str:
    """Assembly that puts `data` on the stack at r10 + at."""
    data += bytes(-len(data) % 4)
    return (
        "".join(
            f"*(u32 *)(r10 {at + i:+d}) = {int.from_bytes(data[i : i + 4], 'little', signed=True)}\n"
            for i in range(0, len(data), 4)
        )
        .replace("r10 -", "r10 - ")
        .replace("r10 +", "r10 + ")
    )


def printk(fmt: bytes, args: list[str]) -> str:
    """r0 = bpf_trace_printk(fmt, args...); the string "hello" is at r10 - 16 for r9."""
    lines = [stores(fmt + b"\0", -128), stores(b"hello".ljust(16, b"\0"), -16), "r9 = r10", "r9 += -16"]
    lines += [f"r{3 + i} = {arg}" for i, arg in enumerate(args)]
    lines += ["r1 = r10", "r1 += -128", f"r2 = {len(fmt) + 1}", "call trace_printk", "exit"]
    return "\n".join(lines)


FORMATS = [
    (b"plain", []),
    (b"100%% sure", []),
    (b"%d %u %x", ["-1", "-1", "-1"]),
    (b"%i %X %lu", ["-5", "255", "-1"]),
    (b"%lld %llu %llx", ["-7", "-7", "-7"]),
    (b"%ld|%lx|%li", ["-7", "4096", "9"]),
    (b"%08x|%-6d|%+d", ["48879", "42", "5"]),
    (b"%3d|% d|%12u", ["1234", "7", "9"]),
    (b"%s!", ["r9"]),
    (b"%c%c%c", ["104", "105", "33"]),
    (b"line\n", []),
    (b"tab\there", []),
    (b"%d %d %d %d", ["1", "2", "3"]),
    (b"%q", ["1"]),
    (b"%", []),
    (b"%f", ["1"]),
    (b"%lls", ["1"]),
    (b"%hd", ["1"]),
    (b"%.3d", ["1"]),
    (b"\x01bad", []),
    (b"\xff\x80 \xc3\xa4", []),
    (b"%\xff", ["1"]),
    (b"\x7f", []),
    (b"%px", ["4096"]),
    (b"%pz", ["4096"]),
    (b"%pI4", ["r9"]),
    (b"%pi6", ["r9"]),
    (b"%pI7", ["r9"]),
    (b"%pks", ["r9"]),
]

READER = r"""
import os, subprocess, sys, time
subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)
fd = os.open("/sys/kernel/tracing/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
def drain():
    out = b""
    while True:
        try:
            got = os.read(fd, 65536)
        except BlockingIOError:
            return out
        out += got
drain()
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + 5
out = b""
while time.monotonic() < end and b"==end==" not in out:
    out += drain()
    time.sleep(0.01)
sys.stdout.buffer.write(out)
"""


def linux_lines(texts: list[str]) -> tuple[list[int], list[str]]:
    """Return values and printed messages, read from a tracefs mounted in a namespace of its own."""
    import sys

    reader = subprocess.Popen(
        ["unshare", "-m", sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout is not None
    if reader.stdout.readline() != b"ready\n":
        reader.kill()
        pytest.skip("tracefs cannot be mounted here")
    returned = []
    for text in [*texts, printk(b"==end==", [])]:
        with linux.prog_load(assemble(text), XDP) as prog:
            returned.append(prog.test_run(data=bytes(64)).retval)
    out, _ = reader.communicate(b"go\n")
    messages = re.split(rb"^.*bpf_trace_printk: ", out, flags=re.M)[1:]
    return returned[:-1], [m.decode("latin-1").removesuffix("\n") for m in messages if b"==end==" not in m]


def test_formats_print_and_return_as_on_linux() -> None:
    require.linux()
    require.netns()
    texts = [printk(fmt, args) for fmt, args in FORMATS]
    returned, messages = linux_lines(texts)
    mine, printed = [], []
    for text in texts:
        mine.append(load_native(text, XDP).test_run(bytes(64))[0])
        line = native.trace_read(0)
        if line is not None:
            printed.append(line.split("bpf_trace_printk: ", 1)[1])
    assert dict(zip([f for f, _ in FORMATS], mine, strict=True)) == dict(
        zip([f for f, _ in FORMATS], returned, strict=True)
    )
    assert printed == messages


def test_a_line_says_who_where_and_when() -> None:
    load_native(printk(b"hello %d", ["5"]), XDP).run(bytes(64))
    line = native.trace_read(1)
    assert line is not None
    match = re.fullmatch(r" *(.{1,15})-(\d+) +\[(\d{3})\] \S+ +(\d+\.\d{6}): bpf_trace_printk: hello 5", line)
    assert match, line
    assert int(match[2]) == threading.get_native_id()
    assert int(match[3]) < native.nr_vcpus()
    assert abs(float(match[4]) - time.monotonic()) < 60


def test_lines_come_in_order_and_a_reader_waits() -> None:
    prog = load_native(printk(b"n", []).replace("r1 = r10\nr1", "r6 = 0\nr1 = r10\nr1"), XDP)
    timer = threading.Timer(0.05, prog.run, (bytes(64),))
    timer.start()
    assert native.trace_read(10) is not None
    timer.join()
    start = time.monotonic()
    assert native.trace_read(0.05) is None
    assert time.monotonic() - start >= 0.04


def test_a_full_pipe_drops_the_oldest_lines_and_says_so() -> None:
    prog = load_native(printk(b"x" * 100, []), XDP)
    n = 20000
    prog.run_batch([bytes(64)] * n)
    first = native.trace_read(0)
    assert first is not None
    lost = int(re.fullmatch(r"CPU:0 \[LOST (\d+) EVENTS\]", first)[1])  # type: ignore[index]
    left = 0
    while native.trace_read(0) is not None:
        left += 1
    assert lost + left == n
    assert left > 1000


@pytest.mark.parametrize("engine", [0, 1], ids=["interp", "jit"])
def test_the_running_thread_is_named(engine: int) -> None:
    def run(text: str) -> int:
        return load_native(text, ProgType.KPROBE, engine=engine).run_raw()

    assert run("call get_current_pid_tgid\n exit") == os.getpid() << 32 | threading.get_native_id()
    assert run("call get_current_uid_gid\n exit") == os.getgid() << 32 | os.getuid()
    comm = b""
    for i in range(0, 16, 8):
        text = f"r1 = r10\n r1 += -16\n r2 = 16\n call get_current_comm\n r0 = *(u64 *)(r10 - {16 - i})\n exit"
        comm += run(text).to_bytes(8, "little")
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "rb") as f:  # noqa: PTH123
        assert comm.rstrip(b"\0") == f.read().rstrip(b"\n")
    cut = (
        "r1 = r10\n r1 += -8\n *(u64 *)(r10 - 8) = -1\n r2 = 3\n call get_current_comm\n r0 = *(u64 *)(r10 - 8)\n exit"
    )
    assert run(cut).to_bytes(8, "little") == comm[:2] + b"\0" + b"\xff" * 5


def test_clocks_advance_and_random_numbers_differ() -> None:
    for name, clock in (
        ("ktime_get_ns", time.CLOCK_MONOTONIC),
        ("ktime_get_boot_ns", time.CLOCK_BOOTTIME),
        ("ktime_get_tai_ns", time.CLOCK_TAI),
    ):
        before = time.clock_gettime_ns(clock)
        value = load_native(f"call {name}\n exit", ProgType.KPROBE).run_raw()
        assert before <= value <= time.clock_gettime_ns(clock)
    prandom = load_native("call get_prandom_u32\n exit", ProgType.KPROBE)
    numbers = {prandom.run_raw() for _ in range(1000)}
    assert len(numbers) > 990
    assert max(numbers) < 1 << 32
    assert 400 < sum(n >> 31 for n in numbers) < 600


PROBE = """
    r6 = *(u64 *)(r1 + 0)
    *(u64 *)(r10 - 8) = -1
    r1 = r10
    r1 += -8
    r2 = {nbytes}
    r3 = r6
    call {helper}
    r7 = r0
    r0 = *(u64 *)(r10 - 8)
    if r7 s>= 0 goto out
    r0 = r7
    out: exit
"""


@pytest.mark.parametrize("helper", ["probe_read", "probe_read_user", "probe_read_kernel"])
def test_probe_read_copies_or_fails_and_never_faults(helper: str) -> None:
    import ctypes

    prog = NativeProg(
        encode(assemble(PROBE.format(nbytes=4, helper=helper))), type=ProgType.KPROBE, flags=ProgFlag.NEEDS_BUDGET
    )
    memory = ctypes.create_string_buffer(b"abcdefg")
    address = ctypes.addressof(memory)
    assert prog.run(address.to_bytes(8, "little")).to_bytes(8, "little") == b"abcd\xff\xff\xff\xff"
    for bad in (0, 8, 1 << 47, 0xFFFF888000000000, (1 << 64) - 2):
        assert prog.run(bad.to_bytes(8, "little")) == (1 << 64) - 14


def test_probe_read_str_ends_in_a_zero() -> None:
    import ctypes

    memory = ctypes.create_string_buffer(b"abcdefg")
    address = ctypes.addressof(memory).to_bytes(8, "little")
    for nbytes, want in ((8, b"abcdefg\0"), (4, b"abc\0\xff\xff\xff\xff"), (1, b"\0" + b"\xff" * 7)):
        code = encode(assemble(PROBE.format(nbytes=nbytes, helper="probe_read_str")))
        prog = NativeProg(code, type=ProgType.KPROBE, flags=ProgFlag.NEEDS_BUDGET)
        assert prog.run(address).to_bytes(8, "little") == want
