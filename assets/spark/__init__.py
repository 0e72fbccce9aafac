"""A night past one machine: the same landing and the same models on Apache Spark."""
