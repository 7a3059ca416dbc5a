"""The flow dissector compiled by the C compiler, and the loop that engines are timed in."""

import numpy as np
from numpy.typing import NDArray

CTX_SKB: int
CTX_LINUX_FLOW: int
SLOT_NBYTES: int
COMPILER: str
dissect_address: int
nothing_address: int

def dissect(packet: bytes) -> tuple[int, bytes]:
    """(hash, the 56 bytes of struct bpf_flow_keys) of a frame."""

def run(address: int, kind: int, packet: bytes) -> tuple[int, bytes]:
    """The same by the function at an address, which gets a context of that kind."""

class Arena:
    """Memory full of packets, one in each slot of 128 bytes, 8 shapes in turn."""

    def __init__(self, nbytes: int, shapes: list[bytes]) -> None: ...
    @property
    def slots(self) -> int: ...
    def time(self, address: int, kind: int, order: NDArray[np.uint32]) -> tuple[float, int]:
        """(ns a call, sum of results) of the function at an address over the slots of `order`, without the GIL."""
