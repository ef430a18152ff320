"""The exercises of notebook 00."""

from flowlib.exercises.exercise import Exercise

EXERCISES: list[Exercise] = []
