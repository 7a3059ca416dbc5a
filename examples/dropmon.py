"""2014's dropmon: counts dropped packets by the place in the kernel that dropped them.

Usage: dropmon.py [--seconds N] [--raw] [--filter EXPRESSION]     (trace points need root and a mounted tracefs)

The program runs on the trace point skb:kfree_skb. Its key is the location: as a tracepoint program at offset 16 of
the record, with --raw as a raw_tracepoint program args[1]. It adds one to the location's count, or enters it with 1.
--filter has the kernel pass on only matching records, for example "protocol == 0x88b5"; raw ones have no filter.
"""

import argparse
import errno
import signal
import struct
import time
from collections.abc import Iterator

import pyebpf
from pyebpf import syscall
from pyebpf.isa import (
    ADD,
    ALU64_IMM,
    ATOMIC_OP,
    CALL,
    DW,
    EXIT,
    JEQ,
    JMP_IMM,
    LD_MAP_FD,
    LDX_MEM,
    MOV64_IMM,
    MOV64_REG,
    R0,
    R1,
    R2,
    R3,
    R4,
    R10,
    ST_MEM,
    STX_MEM,
    map_lookup_elem,
    map_update_elem,
)  # fmt: skip

TRACEPOINT_LOCATION = 16
RAW_LOCATION = 8  # args[1]


def program(map_fd: int, location: int) -> list[object]:
    """Counts by the u64 at ctx + `location`."""
    return [
        LDX_MEM(DW, R2, R1, location),  # r2 = location
        STX_MEM(DW, R10, R2, -8),
        MOV64_REG(R2, R10),
        ALU64_IMM(ADD, R2, -8),  # r2 = fp - 8
        LD_MAP_FD(R1, map_fd),
        CALL(map_lookup_elem),
        JMP_IMM(JEQ, R0, 0, 4),
        MOV64_IMM(R1, 1),
        ATOMIC_OP(DW, ADD, R0, R1, 0),  # lock *(u64 *)r0 += r1
        MOV64_IMM(R0, 0),
        EXIT(),
        ST_MEM(DW, R10, -16, 1),  # first drop here: count 1
        MOV64_IMM(R4, syscall.BPF_ANY),
        MOV64_REG(R3, R10),
        ALU64_IMM(ADD, R3, -16),
        MOV64_REG(R2, R10),
        ALU64_IMM(ADD, R2, -8),
        LD_MAP_FD(R1, map_fd),
        CALL(map_update_elem),
        MOV64_IMM(R0, 0),
        EXIT(),
    ]


def keys(map_fd: int) -> Iterator[bytes]:
    """The map's keys; MAP_GET_NEXT_KEY says ENOENT after the last."""
    key = None
    while True:
        try:
            key = syscall.bpf_get_next_key(map_fd, key)
        except OSError as err:
            if err.errno == errno.ENOENT:
                return
            raise
        yield key


def report(map_fd: int) -> None:
    """Print the map, most drops first."""
    rows = [
        (struct.unpack("<Q", syscall.bpf_lookup_elem(map_fd, key))[0], struct.unpack("<Q", key)[0])
        for key in keys(map_fd)
    ]
    for drops, location in sorted(rows, reverse=True):
        print(f"{drops:10}  {location:#x}  {pyebpf.symbol(location)}", flush=True)


def main() -> None:
    """Attach, then print the map each second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--filter", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    map_fd = syscall.bpf_create_map(syscall.BPF_MAP_TYPE_HASH, 8, 8, 1024)
    kind = syscall.BPF_PROG_TYPE_RAW_TRACEPOINT if options.raw else syscall.BPF_PROG_TYPE_TRACEPOINT
    prog_fd = syscall.bpf_prog_load(kind, program(map_fd, RAW_LOCATION if options.raw else TRACEPOINT_LOCATION), "GPL")
    if options.raw:
        link_fd = syscall.bpf_raw_tracepoint_open("kfree_skb", prog_fd)
    else:  # one perf event a CPU, by perf_event_open
        link_fd = syscall.attach(prog_fd, pyebpf.TracePoint("skb:kfree_skb", filter=options.filter))
    print("watching skb:kfree_skb", flush=True)
    try:
        for second in range(options.seconds):
            time.sleep(1)
            print(f"-- {second + 1} s", flush=True)
            report(map_fd)
    except KeyboardInterrupt:
        pass
    pyebpf.close(link_fd)
    print("-- total", flush=True)
    report(map_fd)


if __name__ == "__main__":
    main()
