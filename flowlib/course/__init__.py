"""What belongs to the pages: exercises that check themselves, and whether a machine is ready."""

from flowlib.course.exercises import check
from flowlib.course.machine import check_machine

__all__ = ["check", "check_machine"]
