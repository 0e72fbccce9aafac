"""The sample workspace, shipped with the package: `tallyhouse demo` copies it and runs its nights."""

from pathlib import Path

DEMO = Path(__file__).resolve().parent / "demo"
