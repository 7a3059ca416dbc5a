"""Runtime: everything the kernel would keep, in one object."""

import importlib
import os
import threading
from typing import ClassVar

from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.fdtable import FdTable
from pyebpf.runtime.kobject import IdSpace, KObject
from pyebpf.runtime.linkobj import LinkObj, Targets
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.pins import PinTable
from pyebpf.runtime.progobj import ProgObj

TARGET_PROVIDERS = ("pyebpf.sources.targets",)
"""Modules of the layers above that say what programs attach to; each has register(Targets). Named, not imported:
the runtime calls whoever is registered and knows none of them."""


def register_providers(targets: Targets) -> None:
    """Let each provider enter its targets; one that is not installed has none."""
    for name in TARGET_PROVIDERS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
                raise  # it is there, and what it needs is not
            continue
        module.register(targets)


class Runtime:
    """fds, ids, pins, attach targets and statistics of this process.

    After fork the child goes on with copies: same fds and ids, fresh locks.
    """

    _current: ClassVar["Runtime | None"] = None
    _start: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.maps: IdSpace[MapObj] = IdSpace("map")
        self.progs: IdSpace[ProgObj] = IdSpace("program")
        self.btfs: IdSpace[BtfObj] = IdSpace("btf")
        self.links: IdSpace[LinkObj] = IdSpace("link")
        self.stats: IdSpace[KObject] = IdSpace("stats switch")
        self.fds = FdTable()
        self.pins = PinTable()
        self.targets = Targets()
        register_providers(self.targets)

    def after_fork(self) -> None:
        """In the child: other threads, and what they had locked, are gone."""
        for space in (self.maps, self.progs, self.btfs, self.links, self.stats):
            space.after_fork()
        self.fds.after_fork()
        self.pins.after_fork()


def runtime() -> Runtime:
    """The runtime of this process, made on first use."""
    current = Runtime._current
    if current is None:
        with Runtime._start:
            if Runtime._current is None:
                Runtime._current = Runtime()
                os.register_at_fork(after_in_child=Runtime._current.after_fork)
            current = Runtime._current
    return current
