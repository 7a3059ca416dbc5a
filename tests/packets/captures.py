"""Captures made by hand, in every form that the reader takes."""

import struct
from collections.abc import Sequence

SECOND = 10**9


def pcap(
    packets: Sequence[tuple[int, bytes, int]],
    *,
    order: str = "<",
    nanoseconds: bool = False,
    modified: bool = False,
    snaplen: int = 65535,
    link_type: int = 1,
) -> bytes:
    """packets: (time in ns, captured bytes, length on the wire)."""
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)]
    for time, data, wire in packets:
        fraction = time % SECOND // (1 if nanoseconds else 1000)
        out.append(struct.pack(order + "IIII", time // SECOND, fraction, len(data), wire) + bytes(8 * modified) + data)
    return b"".join(out)


def pad(data: bytes) -> bytes:
    """To a multiple of 4."""
    return data + bytes(-len(data) % 4)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    """An option of a block."""
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def section(order: str, length: int = -1) -> bytes:
    """A section header block."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length))


def interface(order: str, *options: bytes, link_type: int = 1, snaplen: int = 0) -> bytes:
    """An interface description block."""
    end = bytes(4) if options else b""
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + b"".join(options) + end)


def enhanced(order: str, iface: int, units: int, data: bytes, wire: int, *options: bytes) -> bytes:
    """An enhanced packet block; units: the time stamp as the interface counts it."""
    head = struct.pack(order + "IIIII", iface, units >> 32, units & 0xFFFFFFFF, len(data), wire)
    return block(order, 6, head + pad(data) + b"".join(options))


def simple(order: str, data: bytes, wire: int) -> bytes:
    """A simple packet block."""
    return block(order, 3, struct.pack(order + "I", wire) + pad(data))


def obsolete(order: str, iface: int, units: int, data: bytes, wire: int) -> bytes:
    """The packet block of old drafts."""
    head = struct.pack(order + "HHIIII", iface, 0, units >> 32, units & 0xFFFFFFFF, len(data), wire)
    return block(order, 2, head + pad(data))
