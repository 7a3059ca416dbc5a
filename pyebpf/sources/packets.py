"""Packets in bulk: one contiguous piece of memory and arrays that say where each packet lies."""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.errors import Error

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class PacketBatch:
    """Packets for `Program.run_batch`: packet i is the lengths[i] bytes of data from offsets[i].

    data: uint8.  offsets: uint64.  lengths: uint32, bytes there are.  wire_lengths: uint32, bytes the packet had,
    more where the capture kept only its head.  times_ns: uint64, since 1970, 0 where unknown.  ifaces: uint32, the
    number of the interface in the capture.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint32]
    wire_lengths: NDArray[np.uint32]
    times_ns: NDArray[np.uint64]
    ifaces: NDArray[np.uint32]

    @classmethod
    def of(cls, packets: Sequence[Buffer]) -> "PacketBatch":
        """A batch of packets held by Python."""
        lengths = np.fromiter((len(p) for p in packets), np.uint32, len(packets))
        offsets = np.zeros(len(packets), np.uint64)
        np.cumsum(lengths[:-1], out=offsets[1:]) if len(packets) else None
        data = np.frombuffer(b"".join(packets), np.uint8)
        zeros = np.zeros(len(packets), np.uint64)
        return cls(data, offsets, lengths, lengths, zeros, zeros.astype(np.uint32))

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: "int | slice | NDArray[Any]") -> Any:
        """The bytes of a packet (a copy), or a batch of some over the same memory."""
        if isinstance(index, (int, np.integer)):
            i = range(len(self))[index]
            start = int(self.offsets[i])
            return self.data[start : start + int(self.lengths[i])].tobytes()
        parts: list[Any] = [
            a[index] for a in (self.offsets, self.lengths, self.wire_lengths, self.times_ns, self.ifaces)
        ]
        return PacketBatch(self.data, *parts)

    @property
    def wire_bytes(self) -> int:
        """The sum of wire_lengths."""
        return int(self.wire_lengths.sum(dtype=np.uint64))

    def __iter__(self) -> Iterator[bytes]:
        return (self[i] for i in range(len(self)))


def join(batches: Sequence[PacketBatch]) -> PacketBatch:
    """One batch of all packets, over new memory."""
    if not batches:
        raise Error(errno.EINVAL, "no batches to join")
    starts = np.cumsum([0] + [len(b.data) for b in batches[:-1]], dtype=np.uint64)
    offsets = np.concatenate([b.offsets + s for b, s in zip(batches, starts, strict=True)])
    names = ("lengths", "wire_lengths", "times_ns", "ifaces")
    rest = [np.concatenate([getattr(b, name) for b in batches]) for name in names]
    data = np.concatenate([b.data for b in batches])
    return PacketBatch(data, offsets, *rest)
