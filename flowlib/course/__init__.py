"""What belongs to the pages: exercises that check themselves, the index of all formulas, the words of the course,
whether a machine is ready, stored results, bars."""

from flowlib.course.exercises import check
from flowlib.course.formulas import glance, line_by_line
from flowlib.course.glossary import GLOSSARY, Term
from flowlib.course.machine import check_machine
from flowlib.course.progress import progress
from flowlib.course.stored import stored

__all__ = ["GLOSSARY", "Term", "check", "check_machine", "glance", "line_by_line", "progress", "stored"]
