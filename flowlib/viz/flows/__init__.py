"""Flows as scenes."""
