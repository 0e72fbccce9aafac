"""`make bench`: what there is to measure, side by side in one run."""

from tests.benchmarks.landing import main

if __name__ == "__main__":
    main()
