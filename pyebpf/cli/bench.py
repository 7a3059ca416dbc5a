"""`pyebpf bench WHAT`: the flow dissector of 2014, map operations, the verifier, calls from Python."""

import argparse
import importlib
import json

from pyebpf.bench import result

BENCHES = {
    "flow-dissector": ("flow_dissector", "native C"),
    "maps": ("maps", "Linux"),
    "verifier": ("verifier", "Linux"),
    "call": ("call", "len()"),
}
"""Module of pyebpf.bench and what its ratios are to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("what", choices=BENCHES, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="few rounds and small memory: a look, not a measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    module, ratio_to = BENCHES[options.what]
    bench = importlib.import_module(f"pyebpf.bench.{module}")
    results = bench.run(quick=options.quick)
    if options.json:
        print(json.dumps({"results": [r.record() for r in results]}))
    else:
        print(result.text(results, ratio_to))
    return 0
