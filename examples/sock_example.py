"""2014's sock_example: counts TCP, UDP and ICMP packets on an interface.

Usage: sock_example.py [INTERFACE] [--seconds N]     (raw sockets need CAP_NET_RAW)

The program is 2014's, instruction for instruction: it loads the IPv4 protocol, byte 23 of the frame, and adds one to
that key's value if the map has it. It returns 0, so the socket keeps nothing; the counts are read from the map.
"""

import argparse
import signal
import socket
import struct
import time

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
    LD_ABS,
    LD_MAP_FD,
    MOV64_IMM,
    MOV64_REG,
    R0,
    R1,
    R2,
    R6,
    R10,
    STX_MEM,
    B,
    W,
    map_lookup_elem,
)  # fmt: skip

ETH_P_ALL = 3
ETH_HLEN = 14
IPHDR_PROTOCOL = 9
PROTOCOLS = {"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP, "ICMP": socket.IPPROTO_ICMP}


def program(map_fd: int) -> list[object]:
    """The filter over a HASH of protocol (u32) to packets (u64)."""
    return [
        MOV64_REG(R6, R1),
        LD_ABS(B, ETH_HLEN + IPHDR_PROTOCOL),  # r0 = ip->protocol
        STX_MEM(W, R10, R0, -4),  # *(u32 *)(fp - 4) = r0
        MOV64_REG(R2, R10),
        ALU64_IMM(ADD, R2, -4),  # r2 = fp - 4
        LD_MAP_FD(R1, map_fd),
        CALL(map_lookup_elem),
        JMP_IMM(JEQ, R0, 0, 2),
        MOV64_IMM(R1, 1),
        ATOMIC_OP(DW, ADD, R0, R1, 0),  # lock *(u64 *)r0 += r1
        MOV64_IMM(R0, 0),
        EXIT(),
    ]


def counts(map_fd: int) -> dict[str, int]:
    """Packets by protocol."""
    read = {}
    for name, protocol in PROTOCOLS.items():
        (read[name],) = struct.unpack("<Q", syscall.bpf_lookup_elem(map_fd, struct.pack("<I", protocol)))
    return read


def main() -> None:
    """Attach, then print the map each second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interface", nargs="?", default="lo")
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    map_fd = syscall.bpf_create_map(syscall.BPF_MAP_TYPE_HASH, 4, 8, 256)
    for protocol in PROTOCOLS.values():
        syscall.bpf_update_elem(map_fd, struct.pack("<I", protocol), bytes(8))
    prog_fd = syscall.bpf_prog_load(syscall.BPF_PROG_TYPE_SOCKET_FILTER, program(map_fd), "GPL")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as sock:
        pyebpf.setsockopt(sock, socket.SOL_SOCKET, pyebpf.SO_ATTACH_BPF, prog_fd)
        sock.bind((options.interface, ETH_P_ALL))
        print(f"counting on {options.interface}", flush=True)
        try:
            for _ in range(options.seconds):
                time.sleep(1)
                print(" ".join(f"{name} {n}" for name, n in counts(map_fd).items()), "packets", flush=True)
        except KeyboardInterrupt:
            pass
        pyebpf.setsockopt(sock, socket.SOL_SOCKET, pyebpf.SO_DETACH_BPF, prog_fd)
        print("total", " ".join(f"{name} {n}" for name, n in counts(map_fd).items()), flush=True)


if __name__ == "__main__":
    main()
