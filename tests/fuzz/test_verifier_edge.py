"""Programs near the edge of what Linux accepts: nothing that Linux rejects is accepted here."""

import pytest

from tests import require
from tests.fuzz import verifier
from tests.fuzz.verdicts import Class, LinuxSide, OurSide

QUICK, ALL, PART = 400, 20000, 2000


def run(seeds: range, ours: OurSide | None) -> verifier.Tally:
    require.linux()
    tally = verifier.Tally()
    with LinuxSide() as kernel:
        verifier.run(seeds, kernel, ours, tally)
    return tally


def nothing_unsafe(tally: verifier.Tally) -> None:
    failed = {k: v[:5] for k, v in tally.groups.items() if k[0] in (Class.UNSAFE, Class.CRASH)}
    assert failed == {}


def test_linux_accepts_and_rejects_many_for_many_reasons() -> None:
    tally = run(range(100000, 101200), None)
    assert tally.accepted >= 0.3 * tally.programs
    assert tally.rejected >= 0.3 * tally.programs
    assert sum(1 for n in tally.messages.values() if n) >= 60


def test_programs_that_linux_rejects_are_rejected() -> None:
    tally = run(range(QUICK), OurSide())
    nothing_unsafe(tally)
    agreed = tally.classes[Class.BOTH_ACCEPT] + tally.classes[Class.SAME_MESSAGE] + tally.classes[Class.OTHER_MESSAGE]
    assert agreed >= 0.85 * tally.programs


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, ALL, PART))
def test_twenty_thousand_programs_that_linux_rejects_are_rejected(first: int) -> None:
    nothing_unsafe(run(range(first, first + PART), OurSide()))
