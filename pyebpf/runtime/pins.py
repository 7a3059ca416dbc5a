"""Pins: names of objects, kept by this process.

A pin's path is one of the file system's: its folder must exist, and nothing else may have the name. The pin itself
is no file: it is visible to this process alone and goes with it, or with `remove`.
"""

import errno
import os
import threading
from pathlib import Path

from pyebpf.errors import Error
from pyebpf.runtime.kobject import KObject


class PinTable:
    """path -> object; every entry holds one user reference."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._pins: dict[str, KObject] = {}

    @staticmethod
    def resolve(path: str, folder_fd: int | None = None) -> str:
        """The absolute name, links in the folder's path followed; errors as path look-up gives."""
        if not path:
            raise Error(errno.ENOENT, "a pin needs a path, this one is empty")
        if folder_fd is not None and not path.startswith("/"):
            try:
                path = f"{Path(f'/proc/self/fd/{folder_fd}').readlink()}/{path}"
            except OSError:
                raise Error(errno.EBADF, f"fd {folder_fd} is not open") from None
        folder, name = os.path.split(path.rstrip("/") or "/")
        try:
            real = Path(folder or ".").resolve(strict=True)
            if not real.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except (OSError, RuntimeError) as exc:
            code = exc.errno if isinstance(exc, OSError) and exc.errno else errno.ELOOP
            raise Error(code, f"pin {path}: its folder cannot be reached: {os.strerror(code)}") from None
        if name in ("", ".", ".."):
            raise Error(errno.EEXIST, f"pin {path}: that is a folder")
        if len(os.fsencode(name)) > 255:
            raise Error(
                errno.ENAMETOOLONG, f"pin {path}: the name is {len(os.fsencode(name))} bytes, expected at most 255"
            )
        return str(real / name)

    def add(self, path: str, obj: KObject) -> None:
        """Name `obj`; takes over the caller's user reference. EEXIST."""
        with self.lock:
            if path in self._pins or os.path.lexists(path):
                raise Error(errno.EEXIST, f"pin {path}: the name is taken")
            self._pins[path] = obj

    def get(self, path: str) -> KObject:
        """The object at `path` with a user reference; ENOENT, EACCES if a file has that name."""
        with self.lock:
            obj = self._pins.get(path)
            if obj is not None:
                obj.get_user()
                return obj
        if os.path.lexists(path):
            raise Error(errno.EACCES, f"{path} is a file, expected a pin")
        raise Error(errno.ENOENT, f"nothing is pinned at {path}")

    def remove(self, path: str) -> None:
        """Take the name away, as unlink would; ENOENT."""
        with self.lock:
            obj = self._pins.pop(path, None)
        if obj is None:
            raise Error(errno.ENOENT, f"nothing is pinned at {path}")
        obj.put_user()

    def paths(self) -> list[str]:
        """Every pin's path, sorted."""
        with self.lock:
            return sorted(self._pins)

    def after_fork(self) -> None:
        """The child's copy: whoever held the lock is not here."""
        self.lock = threading.Lock()
