"""The last room: lines leave for Stripe, each exactly once."""
