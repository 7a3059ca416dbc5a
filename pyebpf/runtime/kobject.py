"""Objects as the kernel keeps them: explicit reference counts and ids.

A reference is held by an fd, a pin, a link, a program (of its maps and its BTF) or a prog array (of its programs).
The last `put` takes the id away and releases what the object holds; no id ever leads to a released object, since
lookups by id take their reference under the same lock that a count reaches zero under.

Locking: KObject.lock guards one object's own state; IdSpace.lock is a leaf. `release` runs outside
it and may put other objects.
"""

import errno
import threading
from typing import ClassVar, Generic, TypeVar

from pyebpf.errors import Error

MAX_ID = (1 << 31) - 1


class KObject:
    """Base of maps, programs, BTF and links.  id: 0 until it is registered, and after its release."""

    kind: ClassVar[str] = "object"

    def __init__(self) -> None:
        self.id = 0
        self.refs = 1
        self.lock = threading.Lock()
        self._space: IdSpace[KObject] | None = None

    def get(self) -> None:
        """One reference more; the caller holds one already."""
        assert self._space is not None
        with self._space.lock:
            assert self.refs > 0, f"{self.kind} {self.id} is used after its release"
            self.refs += 1

    def put(self) -> None:
        """One reference less; the last one releases the object."""
        assert self._space is not None
        with self._space.lock:
            assert self.refs > 0, f"{self.kind} {self.id} is put more often than it was taken"
            self.refs -= 1
            last = self.refs == 0
            if last:
                self._space.remove(self)
        if last:
            self.release()

    def get_user(self) -> None:
        """One reference of user space (fd or pin)."""
        self.get()

    def put_user(self) -> None:
        """One reference of user space less."""
        self.put()

    def release(self) -> None:
        """Drop what the object holds; called once."""

    def after_fork(self) -> None:
        """The child's copy: whoever held the lock is not here."""
        self.lock = threading.Lock()


K = TypeVar("K", bound=KObject)


class IdSpace(Generic[K]):
    """Ids of one kind of object, from 1, never reused in a process."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lock = threading.Lock()
        self._objects: dict[int, K] = {}
        self._next = 1

    def add(self, obj: K) -> K:
        """Give `obj` its id; ENOSPC when all are used."""
        with self.lock:
            if self._next > MAX_ID:
                raise Error(errno.ENOSPC, f"no {self.kind} id is left")
            obj.id = self._next
            # KObject knows its space only as one of KObjects; this one is of K, a KObject.
            obj._space = self  # type: ignore[assignment]
            self._next += 1
            self._objects[obj.id] = obj
        return obj

    def remove(self, obj: K) -> None:
        """Forget `obj`; the lock is held."""
        self._objects.pop(obj.id, None)

    def get(self, obj_id: int) -> K:
        """The object with that id and a reference to it; ENOENT."""
        with self.lock:
            obj = self._objects.get(obj_id)
            if obj is None:
                raise Error(errno.ENOENT, f"there is no {self.kind} with id {obj_id}")
            obj.refs += 1
            return obj

    def next_id(self, start: int) -> int:
        """The smallest id above `start`; ENOENT after the last."""
        with self.lock:
            found = min((i for i in self._objects if i > start), default=0)
        if not found:
            raise Error(errno.ENOENT, f"there is no {self.kind} id above {start}")
        return found

    def objects(self) -> list[K]:
        """All objects, by id."""
        with self.lock:
            return sorted(self._objects.values(), key=lambda obj: obj.id)

    def after_fork(self) -> None:
        """The child's copy: whoever held the locks is not here."""
        self.lock = threading.Lock()
        for obj in self._objects.values():
            obj.after_fork()
