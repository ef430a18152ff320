"""What belongs to the pages: exercises that check themselves, whether a machine is ready, stored results, bars,
and the words of the course."""

from flowlib.course.exercises import check
from flowlib.course.glossary import GLOSSARY, Term
from flowlib.course.machine import check_machine
from flowlib.course.progress import progress
from flowlib.course.stored import stored

__all__ = ["GLOSSARY", "Term", "check", "check_machine", "progress", "stored"]
