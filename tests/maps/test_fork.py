"""A fork while other threads write: the child has a copy of the map with no lock stuck and every invariant kept."""

import os
import struct
import threading
import time

import numpy as np
import pytest

from pyebpf.native import NativeMap
from pyebpf.spec.kinds import MapType

KEYS = 400


def use(m: NativeMap) -> None:
    """Every operation on every key; what is there in the end is exact."""
    for i in range(KEYS):
        key = struct.pack("<Q", i)
        m.update(key, struct.pack("<Q", i) * 4)
        assert m.lookup(key) == struct.pack("<Q", i) * 4
    for i in range(0, KEYS, 2):
        m.erase(struct.pack("<Q", i))
    found = set()
    key = m.next_key(None)
    while key is not None:
        assert key not in found
        found.add(key)
        key = m.next_key(key)
    assert found == {struct.pack("<Q", i) for i in range(1, KEYS, 2)}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_can_use_a_map_that_threads_were_writing() -> None:
    m = NativeMap(MapType.HASH, 8, 32, KEYS + 64)
    stop = threading.Event()

    def hammer() -> None:
        keys = np.arange(KEYS, dtype=np.uint64).tobytes()
        values = bytes(32 * KEYS)
        while not stop.is_set():
            m.update_batch(keys, values)
            m.drain(0, KEYS)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            time.sleep(0.005)
            pid = os.fork()
            if pid == 0:
                try:
                    use(m)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            assert wait(pid) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait(pid: int) -> int:
    """The child's exit status; one that hangs is killed and counts as -9."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
