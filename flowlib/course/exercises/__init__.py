"""The exercises of the notebooks, which check themselves.

    from flowlib.course.exercises import check
    check("03_planar_log_det", my_function)      # right, or the name of the mistake

Each notebook's exercises stand in a module of its number, each as one block: its title on the page, the right answer,
the inputs to try, and the wrong answers that many people give, each under the sentence that says what went wrong.
"""

from collections.abc import Callable

from flowlib.course.exercises import (
    nb00,
    nb01,
    nb02,
    nb03,
    nb04,
    nb05,
    nb06,
    nb07,
    nb08,
    nb09,
    nb10,
    nb11a,
    nb11b,
    nb11c,
    nb12a,
    nb12b,
)
from flowlib.course.exercises.exercise import Exercise, Verdict

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for notebook in (
        nb00,
        nb01,
        nb02,
        nb03,
        nb04,
        nb05,
        nb06,
        nb07,
        nb08,
        nb09,
        nb10,
        nb11a,
        nb11b,
        nb11c,
        nb12a,
        nb12b,
    )
    for exercise in notebook.EXERCISES
}


def check(name: str, attempt: Callable) -> Verdict:
    """Judge `attempt`, the function written for the exercise `name`; shows as one line."""
    return find(name).check(attempt)


def find(name: str) -> Exercise:
    """The exercise of that name; ValueError with the known names otherwise."""
    if name not in EXERCISES:
        raise ValueError(f"no exercise is called {name!r}; there are: {', '.join(EXERCISES)}.")
    return EXERCISES[name]
