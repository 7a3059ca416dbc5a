"""A progress line on a terminal; nothing where standard error is not one."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

BAR = 30
EVERY_S = 0.1
QUIET_S = 0.5


class Progress:
    """`with Progress("reading", total) as p: p.update(done)`.

    total: 0 where it is not known (a pipe): the count alone is shown. Work shorter than half a second shows nothing.
    """

    def __init__(self, label: str, total: int = 0, *, unit: str = "B", file: TextIO | None = None) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._file = sys.stderr if file is None else file
        self._started = time.monotonic()
        self._next = self._started + QUIET_S
        self._shown = 0
        self._on = self._file.isatty()

    def update(self, done: int) -> None:
        """Say how far it is."""
        if not self._on:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        self._write(self.text(done, now - self._started))

    def text(self, done: int, seconds: float) -> str:
        """The line for `done` after so many seconds."""
        rate = f"{_scaled(done / seconds if seconds > 0 else 0.0)}{self._unit}/s"
        if not self._total:
            return f"{self._label}  {_scaled(done)}{self._unit}  {rate}"
        part = min(done / self._total, 1.0)
        bar = "#" * round(BAR * part)
        return f"{self._label}  [{bar:<{BAR}}] {100 * part:3.0f} %  {rate}"

    def _write(self, text: str) -> None:
        self._file.write("\r" + text.ljust(self._shown))
        self._file.flush()
        self._shown = len(text)

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._file.write("\r" + " " * self._shown + "\r")
            self._file.flush()
            self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _scaled(value: float) -> str:
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.3g} {prefix}" if prefix else f"{value:.0f} "
        value /= 1000
    return f"{value:.3g} T"
