"""Fuzzes the capture reader: `python -m tests.fuzz.capture --seconds N --seed S`.

Each case is read twice: from memory in one piece, and through a pipe in pieces; both must give the same packets and the
same error, and every packet must lie inside what was read.
"""

import hashlib
import itertools
import os
import sys
import threading

import numpy as np

import pyebpf
from pyebpf import open_capture
from tests.fuzz import driver
from tests.packets import captures
from tests.packets.captures import enhanced, interface, obsolete, option, pcap, section, simple
from tests.packets.frames import FRAMES

ERRORS = (pyebpf.Error,)
RAW = [frame.raw for frame in FRAMES.values()]


def seeds() -> list[bytes]:
    """A few captures of every form."""
    packets = [(10**18 + i, raw, len(raw) + i) for i, raw in enumerate(RAW[:5])]
    forms = itertools.product("<>", (False, True), (False, True))
    out = [pcap(packets, order=o, nanoseconds=n, modified=m) for o, n, m in forms]
    for order in "<>":
        options = option(order, 2, b"eth0"), option(order, 9, b"\x09"), option(order, 14, bytes(8))
        data = section(order) + interface(order, *options, snaplen=80) + interface(order)
        for i, raw in enumerate(RAW[:4]):
            data += enhanced(order, i % 2, 10**15 + i, raw, len(raw), option(order, 1, b"a comment"), bytes(4))
        data += (
            simple(order, RAW[4][:80], 900) + obsolete(order, 1, 5, RAW[5], 60) + captures.block(order, 99, bytes(40))
        )
        out.append(data + section(">" if order == "<" else "<"))
    return out


def digest(fd: int) -> tuple[str, str, int | None]:
    """Of all packets; the error; where it was cut off."""
    seen, error = hashlib.sha256(), ""
    with open_capture(fd, link_type=None) as capture:
        try:
            for batch in capture:
                assert np.all(batch.offsets + batch.lengths <= len(batch.data))
                assert len(capture.interfaces) > int(batch.ifaces.max(initial=0))
                for packet, wire, time in zip(batch, batch.wire_lengths, batch.times_ns, strict=True):
                    seen.update(packet + wire.tobytes() + time.tobytes())
        except pyebpf.Error as err:
            error = (err.strerror or "").replace(f"fd {fd}:", "")
        return seen.hexdigest(), error, capture.truncated


def whole(data: bytes) -> tuple[str, str, int | None]:
    """Read from memory."""
    fd = os.memfd_create("capture")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return digest(fd)
    finally:
        os.close(fd)


def piecewise(data: bytes) -> tuple[str, str, int | None]:
    """Read from a pipe, 37 bytes at a time."""
    reader, writer = os.pipe()

    def write() -> None:
        try:
            for at in range(0, len(data), 37):
                os.write(writer, data[at : at + 37])
        except BrokenPipeError:
            pass
        finally:
            os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return digest(reader)
    finally:
        os.close(reader)
        thread.join()


def run(data: bytes) -> None:
    """The same both ways."""
    first = whole(data)
    assert first == piecewise(data)
    if first[1]:
        raise pyebpf.Error(22, first[1])


if __name__ == "__main__":
    sys.exit(driver.main("capture", seeds(), run, ERRORS))
