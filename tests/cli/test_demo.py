"""`pyebpf demo`: the capture that ships, then a socket of our own."""

import pathlib
import re

import pytest

from pyebpf.bench import data
from pyebpf.cli import demo
from pyebpf.cli.main import main
from tests import require


def test_live_counts_the_datagrams_it_sends(capsys: pytest.CaptureFixture[str]) -> None:
    require.netns()
    assert demo.live(2) == 0
    out = capsys.readouterr().out
    assert out.startswith("counting on lo\n")
    total = re.search(r"^total TCP \d+ UDP (\d+) ICMP \d+$", out, re.M)
    sent = re.search(r"^\(sent (\d+) UDP", out, re.M)
    assert total is not None
    assert sent is not None
    assert int(sent[1]) > 10
    assert int(total[1]) >= 2 * int(sent[1])  # others may use lo too


def test_live_says_why_it_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "EXAMPLE", pathlib.Path("/nowhere/sock_example.py"))
    assert demo.live(1) == 0
    assert capsys.readouterr().out == "left out: sock_example.py is in the source tree, not in the package\n"

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(demo, "EXAMPLE", pathlib.Path(__file__))
    monkeypatch.setattr(demo.socket, "socket", refused)
    assert demo.live(1) == 0
    assert capsys.readouterr().out == "left out: raw sockets are not permitted here: Operation not permitted\n"


@pytest.mark.slow
def test_demo_prints_flows_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.CAPTURE.exists(), "the demo's capture is missing"
    assert main(["demo", "--no-live", "--top", "5"]) == 0
    flows, _, table = capsys.readouterr().out.partition("\n== the flow dissector")
    packets = re.search(r"xdp_flow \(xdp, jit\): ([\d,]+) packets", flows)
    assert packets is not None
    assert int(packets[1].replace(",", "")) >= 20_000
    assert len(re.findall(r" (?:IPv4|IPv6) +(?:TCP|UDP|ICMP|ICMPv6|SCTP) ", flows)) == 5
    assert re.search(r"^cached +native C +[\d.]+ +1\.00 +42$", table, re.M)
    assert re.search(r"^ +JIT +[\d.]+ +[\d.]+ +51$", table, re.M)
    assert re.search(r"^ +interpreter +[\d.]+ +[\d.]+$", table, re.M)
