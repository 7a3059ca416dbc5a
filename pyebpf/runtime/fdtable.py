"""File descriptors of ours: ints from 1 << 30 upward, never reused in a process.

They are positive in imm and in bpf_attr, and no fd of the system is that large, so os.close of one is EBADF.
"""

import errno
import threading
from dataclasses import dataclass
from typing import Final, TypeVar

from pyebpf.errors import Error
from pyebpf.runtime.kobject import KObject

FIRST_FD: Final = 1 << 30
LAST_FD: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class File:
    """An open file: its object, and whether the fd may read and write it."""

    obj: KObject
    readable: bool = True
    writable: bool = True


K = TypeVar("K", bound=KObject)


class FdTable:
    """fd -> File; every entry holds one user reference of its object."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._files: dict[int, File] = {}
        self._next = FIRST_FD

    def install(self, obj: KObject, *, readable: bool = True, writable: bool = True) -> int:
        """A new fd; takes over the caller's user reference. EMFILE when all numbers are used."""
        with self.lock:
            if self._next > LAST_FD:
                raise Error(errno.EMFILE, "all file descriptors of this process were used")
            fd = self._next
            self._next += 1
            self._files[fd] = File(obj, readable, writable)
        return fd

    def file(self, fd: int) -> File:
        """The open file of `fd`; EBADF."""
        file = self._files.get(fd)
        if file is None:
            raise Error(errno.EBADF, f"fd {fd} is not an open file descriptor of pyebpf")
        return file

    def peek(self, fd: int, kind: type[K]) -> tuple[K, File]:
        """The object of `fd` without a reference, for one operation on it; EBADF, EINVAL if it is of another kind.

        It may be released meanwhile; its Python object, and so its native memory, stays while the caller uses it.
        """
        file = self.file(fd)
        if not isinstance(file.obj, kind):
            raise Error(errno.EINVAL, f"fd {fd} is a {file.obj.kind}, expected a {kind.kind}")
        return file.obj, file

    def get(self, fd: int, kind: type[K]) -> K:
        """The object of `fd` with a reference for the caller; errors as `peek`."""
        with self.lock:
            obj, _ = self.peek(fd, kind)
            obj.get()
        return obj

    def close(self, fd: int) -> None:
        """Forget `fd` and put its object; EBADF."""
        with self.lock:
            self.file(fd)
            file = self._files.pop(fd)
        file.obj.put_user()

    def __contains__(self, fd: int) -> bool:
        return fd in self._files

    def __len__(self) -> int:
        return len(self._files)

    def after_fork(self) -> None:
        """The child's copy: whoever held the lock is not here."""
        self.lock = threading.Lock()
