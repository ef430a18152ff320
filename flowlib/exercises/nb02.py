"""The exercises of notebook 02."""

from flowlib.exercises.exercise import Exercise

EXERCISES: list[Exercise] = []
