"""Verbs on the way in and out of the warehouse: land, write the catalogue, gate, post, publish, push."""
