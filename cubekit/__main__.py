"""Run the command line as ``python -m cubekit``."""

from __future__ import annotations

import sys

from cubekit.cli import main

if __name__ == "__main__":
    sys.exit(main(prog_name="cubekit"))
