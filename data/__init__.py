"""What ships beside the code: the sample workspace that `tallyhouse demo` runs, and examples for whoever reads."""

from pathlib import Path

DEMO = Path(__file__).resolve().parent / "demo"
EXAMPLES = Path(__file__).resolve().parent / "examples"
