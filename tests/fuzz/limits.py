"""Programs Linux refuses and pyebpf may accept: by errno, or by a message with a reason."""

import errno
import re

from pyebpf.errors import ENOTSUPP

ERRNOS = {errno.EPERM, errno.ENOMEM, errno.E2BIG, ENOTSUPP}
"""Privileges, memory, size and what a kernel was built without: no statement about the program's safety."""

MESSAGES: dict[str, str] = {
    r"verifier bug: No program to jit at insn \d+": (
        "Linux's own bug: it removes a callback that no path enters as dead code, and then misses its address"
    ),
}
"""Regular expression of Linux's first message: the reason why accepting is right."""


def excuse(code: int, message: str) -> str | None:
    """Why pyebpf may accept what Linux refused so; None if it must not."""
    if code in ERRNOS:
        return errno.errorcode.get(code, "ENOTSUPP")
    return next((reason for pattern, reason in MESSAGES.items() if re.match(pattern, message)), None)
