"""The exercises of notebook 01."""

from flowlib.exercises.exercise import Exercise

EXERCISES: list[Exercise] = []
