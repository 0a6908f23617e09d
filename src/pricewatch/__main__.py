"""`python -m pricewatch`."""

from __future__ import annotations

from pricewatch.cli import main

if __name__ == "__main__":
    main()
