"""The gate: what stands between the models and the books."""
