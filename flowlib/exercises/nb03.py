"""The exercises of notebook 03."""

from flowlib.exercises.exercise import Exercise

EXERCISES: list[Exercise] = []
