"""Stress tests of the client. `scripts/chaos client` runs them at full size, test_client_stress.py for a moment."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from tests.stress import client_load
from tests.stress.random_calls import random_calls

STRESS_TESTS: dict[str, Callable[[int], bool]] = {
    "deadlines": client_load.deadlines,
    "forks": client_load.forks,
    "threads": client_load.threads,
    "leaks": client_load.leaks,
}


def main() -> int:
    """Run the stress tests; the exit code is 1 if one fails."""
    names = ["faults", *STRESS_TESTS]
    parser = argparse.ArgumentParser(
        prog="scripts/chaos client",
        description="Stress tests of the client. faults: random calls through a proxy that breaks exchanges; "
        "deadlines: responses that never end; forks: forks during calls; threads: 64 threads on one client; "
        "leaks: descriptors, tasks and memory after many calls.",
    )
    parser.add_argument("tests", nargs="*", metavar="TEST", help=f"{', '.join(names)} (default: faults)")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of each test (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: %(default)s)")
    parser.add_argument(
        "--share", type=float, default=0.3, help="share of exchanges that the proxy breaks (default: %(default)s)"
    )
    options = parser.parse_args()
    if unknown := set(options.tests) - set(names):
        parser.error(f"unknown test: {', '.join(sorted(unknown))}")
    logging.getLogger("paperspace.gradient").setLevel(logging.WARNING)
    passed = True
    for name in options.tests or ["faults"]:
        if name == "faults":
            for keys in (True, False):
                for version in ("sync", "async"):
                    passed &= random_calls(options.calls // 4, options.seed, options.share, version, keys=keys)
        else:
            passed &= STRESS_TESTS[name](options.calls)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
