"""The `pyebpf` command: one subcommand a module, imported when it is asked for."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from pyebpf.errors import Error

COMMANDS = {
    "run": "run a program over a capture",
    "check": "verify every program of an object",
    "dump": "print a program's instructions",
    "bench": "measure",
    "conformance": "the bpf_conformance plugin protocol",
    "demo": "dissect the capture that ships with pyebpf, then measure",
}


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser; with `only`, just that command's arguments are read from its module."""
    parser = argparse.ArgumentParser(prog="pyebpf", description="eBPF in your own process.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if only is None or name == only:
            module = importlib.import_module(f"pyebpf.cli.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0, 1 (it said no), 2 (bad use), 130 (interrupted)."""
    args = list(sys.argv[1:] if argv is None else argv)
    only = next((a for a in args if not a.startswith("-")), None)
    options = build_parser(only if only in COMMANDS else "").parse_args(args)
    try:
        status: int = options.run(options)
    except Error as err:
        print(f"pyebpf {options.command}: {err}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except OSError as err:  # a file that is missing, not readable, a directory
        place = f"{err.filename}: " if err.filename is not None else ""
        print(f"pyebpf {options.command}: {place}{err.strerror or err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
