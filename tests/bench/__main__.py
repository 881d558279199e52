"""`make bench`: every figure is a ratio against a named rival or limit, measured in the same run."""

from __future__ import annotations

import argparse

from tests.bench import ingest, sql

BENCHES = {"sql": sql.run, "memory": ingest.memory, "ingest": ingest.overhead}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("bench", nargs="*", help=f"which ({', '.join(BENCHES)}); all if none is named")
    chosen = parser.parse_args().bench or list(BENCHES)
    print(f"{'measure':<62} {'ours':>10} {'rival':>10} {'ratio':>7} {'limit':>7}")
    for name in chosen:
        for row in BENCHES[name]():
            print(row, flush=True)


if __name__ == "__main__":
    main()
