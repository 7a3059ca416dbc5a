"""Random sequences of calls here and in the running kernel: no difference, errno included."""

import os

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pyebpf.spec.kinds import BPF_ANY, BPF_EXIST, BPF_F_NO_PREALLOC, BPF_NOEXIST, MapType
from tests import require
from tests.maps.both import Linux, Ours, keys, outcome

STEPS = int(os.environ.get("PYEBPF_MODEL_STEPS", "1500"))
"""Calls per map type."""


class Machine(RuleBasedStateMachine):
    """One map here and one in Linux; subclasses name the type."""

    kind: MapType
    seen: set[bytes]

    @initialize(
        key_size=st.sampled_from([1, 4, 8, 13, 16, 32]),
        value_size=st.sampled_from([1, 4, 8, 12, 64]),
        max_entries=st.integers(1, 24),
        prealloc=st.booleans(),
    )
    def create(self, key_size: int, value_size: int, max_entries: int, prealloc: bool) -> None:
        hashed = self.kind in (MapType.HASH, MapType.PERCPU_HASH)
        self.key_size = key_size if hashed else 4
        args = self.kind, self.key_size, value_size, max_entries, 0 if prealloc or not hashed else BPF_F_NO_PREALLOC
        self.ours, self.linux = Ours(*args), Linux(*args)
        self.step = (value_size + 7) // 8 * 8
        self.value_size = value_size
        self.percpu = self.kind in (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY)
        assert not self.percpu or self.ours.user_size == self.linux.user_size

    def key(self, n: int) -> bytes:
        return n.to_bytes(self.key_size, "little")

    def value(self, fill: int) -> bytes:
        """Distinct bytes; the padding of per-CPU values zero, which Linux need not keep."""
        if not self.percpu:
            return bytes((fill + i) & 255 for i in range(self.value_size))
        one = bytes((fill + i) & 255 for i in range(self.value_size)).ljust(self.step, b"\0")
        return one * (self.ours.user_size // self.step)

    def both(self, call: object) -> None:
        ours, linux = (outcome(lambda m=m: call(m)) for m in (self.ours, self.linux))  # type: ignore[operator]
        assert ours == linux

    @rule(
        n=st.integers(0, 40),
        fill=st.integers(0, 255),
        flags=st.sampled_from([BPF_ANY] * 4 + [BPF_NOEXIST, BPF_EXIST, 3]),
    )
    def update(self, n: int, fill: int, flags: int) -> None:
        self.both(lambda m: m.update(self.key(n), self.value(fill), flags))

    @rule(n=st.integers(0, 40))
    def lookup(self, n: int) -> None:
        self.both(lambda m: m.lookup(self.key(n)))

    @rule(n=st.integers(0, 40))
    def delete(self, n: int) -> None:
        self.both(lambda m: m.delete(self.key(n)))

    @rule(n=st.integers(0, 40))
    def take(self, n: int) -> None:
        self.both(lambda m: m.take(self.key(n)))

    @rule()
    def walk(self) -> None:
        ours, linux = keys(self.ours), keys(self.linux)
        assert sorted(ours) == sorted(linux)
        if self.kind in (MapType.ARRAY, MapType.PERCPU_ARRAY):
            assert ours == linux
        assert len(ours) == len(self.ours.map)

    @rule(n=st.integers(0, 40))
    def next_key_knows_what_is_there(self, n: int) -> None:
        first = self.ours.next_key(None)
        if self.ours.lookup(self.key(n)) is None:
            assert self.ours.next_key(self.key(n)) == first

    def teardown(self) -> None:
        if hasattr(self, "linux"):
            self.linux.map.close()


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.ARRAY, MapType.PERCPU_HASH, MapType.PERCPU_ARRAY])
def test_no_difference_to_linux(kind: MapType) -> None:
    require.linux()
    machine = type(f"Machine{kind.name}", (Machine,), {"kind": kind})
    steps = 50
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, STEPS // steps),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
