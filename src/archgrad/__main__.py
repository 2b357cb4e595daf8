"""``python -m archgrad``."""

from __future__ import annotations

from archgrad.cli import main

if __name__ == "__main__":
    main()
