"""The near-edge programs really are: Linux takes and refuses many, for many reasons."""

import pytest

from tests import require
from tests.fuzz import verifier
from tests.fuzz.verdicts import LinuxSide


@pytest.mark.parametrize("first", [0, 100000])
def test_linux_accepts_and_rejects_many_for_many_reasons(first: int) -> None:
    require.linux()
    tally = verifier.Tally()
    with LinuxSide() as kernel:
        verifier.run(range(first, first + 1200), kernel, None, tally)
    assert tally.accepted >= 0.3 * tally.programs
    assert tally.rejected >= 0.3 * tally.programs
    assert sum(1 for n in tally.messages.values() if n) >= 60
