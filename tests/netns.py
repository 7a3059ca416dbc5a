"""Two network namespaces joined by a veth pair, made for one test and removed after it."""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_serial = itertools.count()


@dataclass(frozen=True)
class Side:
    """One end: namespace, interface, IPv4 and IPv6 address, MAC."""

    netns: str
    interface: str
    ip4: str
    ip6: str
    mac: str

    def command(self, args: Sequence[str]) -> list[str]:
        """`args` as run inside the namespace."""
        return ["ip", "netns", "exec", self.netns, *args]

    def run(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end, output as text; raises when it fails."""
        options = {"check": True, "capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run(self.command(args), **options)

    def popen(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start in the background, output as text through a pipe."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | options
        return subprocess.Popen(self.command(args), **options)

    def enter(self) -> contextlib.AbstractContextManager[None]:
        """The calling thread is inside the namespace for the length of a `with`."""
        return _inside(self.netns)


@contextlib.contextmanager
def _inside(netns: str) -> Iterator[None]:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        assert libc.setns(there, 0x40000000) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(home, 0x40000000) == 0, os.strerror(ctypes.get_errno())
        os.close(there)
        os.close(home)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


@contextlib.contextmanager
def veth_pair() -> Iterator[tuple[Side, Side]]:
    """Both sides up and reachable; no offloads that merge frames."""
    tag = f"pyebpf{os.getpid()}x{next(_serial)}"
    sides = [
        Side(f"{tag}{end}", f"veth{end}", f"10.99.0.{n}", f"fd99::{n}", f"02:00:00:00:99:{n:02x}")
        for n, end in ((1, "a"), (2, "b"))
    ]
    made = []
    try:
        for side in sides:
            _ip("netns", "add", side.netns)
            made.append(side.netns)
        a, b = sides
        _ip("-n", a.netns, "link", "add", a.interface, "address", a.mac, "type", "veth",
            "peer", "name", b.interface, "address", b.mac, "netns", b.netns)  # fmt: skip
        for side in sides:
            _ip("-n", side.netns, "addr", "add", f"{side.ip4}/24", "dev", side.interface)
            _ip("-n", side.netns, "addr", "add", f"{side.ip6}/64", "dev", side.interface, "nodad")
            _ip("-n", side.netns, "link", "set", side.interface, "up")
            _ip("-n", side.netns, "link", "set", "lo", "up")
        yield a, b
    finally:
        for netns in made:
            _ip("netns", "delete", netns)
