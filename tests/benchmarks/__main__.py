"""`make bench`: what there is to measure, side by side in one run."""

from tests.benchmarks import landing, pushing

if __name__ == "__main__":
    landing.main()
    pushing.main()
