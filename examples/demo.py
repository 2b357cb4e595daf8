"""The whole way on bundled data: search, derive, train, evaluate, export, compare, report. `make demo` runs it."""

from __future__ import annotations


def main() -> None:
    """Run the demo and print its table."""


if __name__ == "__main__":
    main()
