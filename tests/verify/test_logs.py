"""The log at level 2, state by state, is Linux's on programs without maps."""

import pytest

from tests import require
from tests.verify.logs import comparable, linux_log, our_log
from tests.verify.random_programs import program

PART = 500


def same_logs(seeds: range) -> None:
    require.linux()
    for seed in seeds:
        kind, insns = program(seed)
        assert comparable(our_log(insns, kind)) == comparable(linux_log(insns, kind)), f"seed {seed}"


def test_logs_of_random_programs_are_linuxs() -> None:
    same_logs(range(200))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 5000, PART))
def test_logs_of_thousands_of_random_programs_are_linuxs(first: int) -> None:
    same_logs(range(first, first + PART))
