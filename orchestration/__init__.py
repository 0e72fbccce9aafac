"""The clock and the wiring: what exists, when it runs, and the command line."""
