"""trace_pipe(): what programs print."""

from collections.abc import Iterator

from pyebpf import native


def trace_pipe(timeout: float | None = None) -> Iterator[str]:
    """Lines of trace_printk as they come, in Linux's form, without the newlines at their ends.

    timeout: seconds without a line after which the iteration ends; None: it never does (Ctrl-C interrupts it).
    """
    while True:
        line = native.trace_read(0.5 if timeout is None else timeout)
        if line is not None:
            yield line.rstrip("\n")
        elif timeout is not None:
            return
