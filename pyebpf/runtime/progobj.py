"""ProgObj: a loaded program as the kernel keeps it."""

import os
import time
from typing import TYPE_CHECKING, ClassVar

from pyebpf import native
from pyebpf.errors import ENOTSUPP, Error
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.debuginfo import DebugInfo
from pyebpf.runtime.kobject import KObject
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import VerifiedProgram

if TYPE_CHECKING:
    from pyebpf.runtime.mapobj import MapObj


class ProgObj(KObject):
    """A program.

    native: None when it is verify-only; `why_not_runnable` then names what is missing.
    maps: those it uses, one reference each; bind_map adds to them.
    """

    kind: ClassVar[str] = "program"

    def __init__(
        self,
        verified: VerifiedProgram,
        native_prog: "native.NativeProg | None",
        maps: "tuple[MapObj, ...]",
        *,
        tag: bytes,
        xlated: bytes,
        engine: int,
        gpl_compatible: bool,
        btf: BtfObj | None = None,
        debug: DebugInfo | None = None,
        why_not_runnable: str = "",
    ) -> None:
        super().__init__()
        self.verified = verified
        self.native = native_prog
        self.maps = maps
        self.tag = tag
        self.xlated = xlated
        self.engine = engine
        self.gpl_compatible = gpl_compatible
        self.btf = btf
        self.debug = debug or DebugInfo()
        self.why_not_runnable = why_not_runnable
        self.type: ProgType = verified.prog_type
        self.name = verified.name
        self.load_time_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.uid = os.getuid()

    @property
    def runnable(self) -> bool:
        """Whether it can run here."""
        return self.native is not None

    @property
    def owner_key(self) -> tuple[object, ...]:
        """What programs of one tail-call array have in common."""
        return (self.type.name, "jit" if self.engine else "interp")

    @property
    def jited(self) -> bytes:
        """Native code, b"" under the interpreter."""
        return self.native.jited if self.native is not None and self.engine else b""

    def executable(self) -> "native.NativeProg":
        """The native program; ENOTSUPP for a verify-only one."""
        if self.native is None:
            raise Error(ENOTSUPP, f"program {self.name or self.id}: {self.why_not_runnable}")
        return self.native

    def bind_map(self, obj: "MapObj") -> None:
        """Hold one map more (PROG_BIND_MAP); takes over the caller's reference, or puts it if it is held already."""
        with self.lock:
            held = obj in self.maps
            if not held:
                self.maps = (*self.maps, obj)
        if held:
            obj.put()

    def release(self) -> None:
        """The last reference is gone; running threads keep the native program to the end of their run."""
        for obj in self.maps:
            obj.put()
        if self.btf:
            self.btf.put()
