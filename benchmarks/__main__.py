"""Install the other clients into environments, if needed, and start the benchmark in one of them; or measure growth."""

from __future__ import annotations

import argparse
import os
import sys

from tests.integration import official_client
from tools import TOP
from tools.environments import make_environment

from . import growth

PEERS = ["cryptography>=45", "gql[requests]>=4.4,<5", "httpx>=0.28", "orjson>=3.11", "boto3>=1.40"]
UNPINNED = ["sgqlc>=18"]  # requires an older graphql-core than gql, for a part that the benchmark does not use


def main() -> None:
    """Install and run."""
    if {"-h", "--help"}.isdisjoint(sys.argv):
        os.environ["OFFICIAL_PYTHON"] = str(official_client.set_up())
    python = make_environment("benchmark", ["--editable", str(TOP), *PEERS], UNPINNED)
    os.execv(python, [str(python), "-m", "benchmarks.run", *sys.argv[1:]])


parser = argparse.ArgumentParser(add_help=False)  # the modules that run have their own help
parser.add_argument("--growth", action="store_true")
options, others = parser.parse_known_args()
if options.growth:  # needs no other clients
    sys.exit(growth.main(others))
main()
