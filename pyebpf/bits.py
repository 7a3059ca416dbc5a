"""Integers of fixed width: the only place that wraps them."""
