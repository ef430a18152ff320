"""What belongs to the pages: exercises that check themselves, whether a machine is ready, stored results."""

from flowlib.course.exercises import check
from flowlib.course.machine import check_machine
from flowlib.course.stored import stored

__all__ = ["check", "check_machine", "stored"]
