"""Captures: pcap and pcapng files and pipes, read in windows of a few MiB, as batches of packets.

    with pyebpf.open_capture("trace.pcapng") as capture:
        for batch in capture:
            verdicts = program.run_batch(batch, threads=2)

A capture is never read whole and never mapped. A record that the file's end cuts off is left out and reported
(`truncated`); what is malformed is an Error with its offset, after all packets before it were given.
"""

import errno
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pyebpf import native
from pyebpf.errors import Error
from pyebpf.sources.packets import PacketBatch

WINDOW = 2 << 20
ETHERNET = 1
PARTS = ("data", "offsets", "lengths", "wire_lengths", "times_ns", "ifaces")
Source = str | os.PathLike[str] | int | BinaryIO


class Interface(NamedTuple):
    """Where packets were captured. link_type: LINKTYPE_*. snaplen: 0 for no limit. units: of its time, in a second."""

    link_type: int
    snaplen: int
    name: str
    units: int


class Capture:
    """A capture, read once from its beginning. Iterating gives PacketBatch after PacketBatch."""

    def __init__(self, fd: int, *, owned: bool, name: str, link_type: int | None, window: int) -> None:
        """For `open_capture`."""
        self.name = name
        self._fd = fd
        self._owned = owned
        self._link_type = link_type
        self._known = 0
        self._native = native.NativeCapture(fd, window)

    def __iter__(self) -> Iterator[PacketBatch]:
        return self

    def __next__(self) -> PacketBatch:
        if self._fd < 0:
            raise Error(errno.EBADF, f"{self.name}: the capture is closed")
        try:
            window = self._native.next()
        except Error as err:
            raise Error(err.errno or errno.EINVAL, f"{self.name}: {err.strerror}") from None
        if window is None:
            raise StopIteration
        return self._batch(window)

    def _batch(self, window: native.WindowBytes) -> PacketBatch:
        parts = [np.asarray(window.part(name)) for name in PARTS]
        self._check_link_types(parts[-1])
        return PacketBatch(*parts)

    def _check_link_types(self, ifaces: NDArray[Any]) -> None:
        """Packets of another link type than the one asked for are refused; interfaces without packets do not matter."""
        if self._link_type is None:
            return
        known = self.interfaces
        wrong = [i for i, iface in enumerate(known) if iface.link_type != self._link_type]
        for i in wrong:
            if np.any(ifaces == i):
                seen = f"link type {known[i].link_type} (interface {i} {known[i].name})".replace(" )", ")")
                raise Error(errno.EINVAL, f"{self.name}: packets of {seen}, expected {self._link_type} (1: Ethernet)")

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces described so far; a pcap has one."""
        return [Interface(*fields) for fields in self._native.interfaces]

    @property
    def format(self) -> str:
        """ "pcap", "pcapng", or "" before the first batch."""
        return self._native.format

    @property
    def position(self) -> int:
        """Bytes of the capture taken in so far."""
        return self._native.position

    @property
    def truncated(self) -> int | None:
        """Offset of the last record, when the end of the capture cut it off; known at the end."""
        at = self._native.truncated
        return None if at < 0 else at

    def close(self) -> None:
        """Close the file, if open_capture opened it; batches stay as they are. Twice is no error."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and self._owned:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


def open_capture(source: Source, *, link_type: int | None = ETHERNET, window: int = WINDOW) -> Capture:
    """A capture to iterate over.

    source: a path ("-": standard input), an fd or a file open for reading bytes, which stay the caller's and are read
    from where the fd stands.  link_type: packets of another are refused; None takes all.  window: bytes read at a time,
    2 MiB at least.
    """
    if isinstance(source, int):
        return Capture(source, owned=False, name=f"fd {source}", link_type=link_type, window=window)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if path == "-":
            return Capture(0, owned=False, name="standard input", link_type=link_type, window=window)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return Capture(fd, owned=True, name=path, link_type=link_type, window=window)
    name = getattr(source, "name", "capture")
    return Capture(source.fileno(), owned=False, name=str(name), link_type=link_type, window=window)
