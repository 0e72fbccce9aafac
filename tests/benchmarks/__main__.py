"""`make bench`: what there is to measure, side by side in one run."""

from tests.benchmarks import closing, landing, pushing

if __name__ == "__main__":
    landing.main()
    closing.main()
    pushing.main()
