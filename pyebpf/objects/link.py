"""Link: a program attached somewhere, until it is detached."""

import builtins
import contextlib
from types import TracebackType
from typing import Any, Self

from pyebpf.errors import Error
from pyebpf.runtime.linkobj import LinkObj, LinkType
from pyebpf.runtime.state import runtime


class Link:
    """An attachment. `detach` ends it; so does leaving its `with` block, and dropping the last reference to it."""

    def __init__(self, fd: int) -> None:
        """For Program.attach; takes the fd over."""
        self._obj, _ = runtime().fds.peek(fd, LinkObj)
        self._fd = fd

    @property
    def fd(self) -> int:
        """Its fd, -1 once it is detached."""
        return self._fd

    @property
    def id(self) -> int:
        """Its global id."""
        return self._obj.id

    @property
    def type(self) -> LinkType:
        """Its kind."""
        return self._obj.type

    @property
    def target(self) -> object:
        """What the program was attached to."""
        return self._obj.request.target

    @property
    def attached(self) -> bool:
        """False once it was detached."""
        return self._obj.attached

    @property
    def attachment(self) -> Any:
        """What the source made of it: of sockets and trace points stats(), error(), recv(), fileno()."""
        return self._obj.attachment

    def stats(self) -> dict[str, int]:
        """Counters of the source: events, kept, lost, failed."""
        counters: dict[str, int] = self.attachment.stats()
        return counters

    def recv(self) -> bytes | None:
        """The oldest frame the program kept, trimmed to its return value; None when none waits."""
        frame: bytes | None = self.attachment.recv()
        return frame

    def fileno(self) -> int:
        """A descriptor that is readable while a kept frame waits."""
        return int(self.attachment.fileno())

    def detach(self) -> None:
        """Stop: once it returns no run begins any more. Twice is no error."""
        fd, self._fd = self._fd, -1
        self._obj.detach()
        if fd >= 0:
            runtime().fds.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: "builtins.type[BaseException] | None", exc: BaseException | None, where: TracebackType | None
    ) -> None:
        self.detach()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            with contextlib.suppress(Error):
                runtime().fds.close(self._fd)

    def __repr__(self) -> str:
        return f"<Link {self.id} {self.type.name} {'attached' if self.attached else 'detached'}>"
