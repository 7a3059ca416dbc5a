"""One measured figure, and how figures are printed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyebpf.report import table


@dataclass(frozen=True, slots=True)
class Result:
    """ns: one operation's time.  ratio: to the case's baseline, measured in the same rounds; None for no baseline.

    extra: what else is worth printing, by column.
    """

    case: str
    engine: str
    ns: float
    ratio: float | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As JSON gives it."""
        ratio = None if self.ratio is None else round(self.ratio, 4)
        return {"case": self.case, "engine": self.engine, "ns": round(self.ns, 3), "ratio": ratio, **self.extra}


def text(results: Sequence[Result], ratio_to: str) -> str:
    """A table; the case stands once."""
    extras = list(dict.fromkeys(name for r in results for name in r.extra))
    rows, last = [], None
    for r in results:
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        extra = [r.extra.get(name, "") for name in extras]
        rows.append([r.case if r.case != last else "", r.engine, f"{r.ns:.1f}", ratio, *extra])
        last = r.case
    return table.render(["case", "engine", "ns", f"ratio to {ratio_to}", *extras], rows)


def rounds(timers: dict[str, Callable[[], float]], n: int) -> dict[str, list[float]]:
    """n interleaved rounds: every timer once a round, so that what slows the machine slows all of them."""
    seen: dict[str, list[float]] = {name: [] for name in timers}
    for i in range(n):
        names = list(timers)
        for name in names[i % len(names) :] + names[: i % len(names)]:
            seen[name].append(timers[name]())
    return seen


def compare(case: str, timers: dict[str, Callable[[], float]], n: int, baseline: str | None) -> list[Result]:
    """Medians of n interleaved rounds; the ratio is the median of the rounds' own ratios."""
    seen = rounds(timers, n)
    results = []
    for name, times in seen.items():
        ratio = None
        if baseline in seen:
            ratio = statistics.median(t / b for t, b in zip(times, seen[baseline], strict=True))
        results.append(Result(case, name, statistics.median(times), ratio))
    return results
