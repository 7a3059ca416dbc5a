"""The machine code that Linux's JIT made of a program, read back and callable in this process.

Only for programs that call nothing: no helper, no function. It is the fair way to compare: the same loop calls
Linux's code, ours and native code. The context it wants is Linux's inner one, not the one programs see.
"""

import ctypes
import mmap
import os
from collections.abc import Callable

from pyebpf.errors import Error
from pyebpf.loader import CollectionSpec
from pyebpf.objects.collection import Collection

LEAVE, RET, JUMP = b"\xc9", b"\xc3", b"\xe9"
"""Linux ends a program with leave and ret, or, under mitigations, with leave and a jump to a return thunk."""


class LinuxImage:
    """Executable memory with Linux's code; `address` is uint64_t (*)(void *inner_ctx, uint64_t)."""

    def __init__(self, code: bytes) -> None:
        size = -(-len(code) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self._memory[: len(code)] = code
        hold = ctypes.c_char.from_buffer(self._memory)
        self.address = ctypes.addressof(hold)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self.address), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
            code_ = ctypes.get_errno()
            raise Error(code_, f"executable memory: {os.strerror(code_)}")
        self._hold = hold


def survives(check: Callable[[], bool]) -> bool:
    """What check() says, asked in a child process, since code made for the kernel may do anything."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if check() else 1)
    return os.waitpid(pid, 0)[1] == 0


def callable_here(code: bytes) -> bytes | None:
    """The code with its jump to the kernel's return thunk turned into the return that it stands for; None where the
    end is not found for certain."""
    ends = [at for at in range(len(code) - 5) if code[at : at + 2] == LEAVE + JUMP and _leads_out(code, at + 1)]
    if not ends:
        return code if LEAVE + RET in code else None
    if len(ends) != 1:
        return None
    at = ends[0] + 1
    return code[:at] + RET + b"\xcc" * 4 + code[at + 5 :]


def _leads_out(code: bytes, at: int) -> bool:
    distance = int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
    return not 0 <= at + 5 + distance < len(code)


def read(spec: CollectionSpec, name: str) -> bytes | None:
    """The code of one of the object's programs, loaded into Linux and let go, ready to be called; None where Linux may
    not be asked, or shows no code that could be."""
    try:
        with Collection.load(spec, programs=(name,), backend="kernel") as coll:
            return callable_here(coll.programs[name].jited)
    except (OSError, Error):
        return None
