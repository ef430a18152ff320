"""How fast a run is, and how long it still takes."""

import time
from datetime import timedelta

MINUTE = 60.0  # seconds between two lines in a log file that nobody looks at


class Pace:
    """The pace of a run since it was started or resumed at this step and this progress (0 to 1).

    Args:
        batch: images in a step.
    """

    def __init__(self, batch: int, step: int, progress: float):
        self.batch, self.step, self.progress = batch, step, progress
        self.start = self.told = time.monotonic()

    def speed(self, step: int) -> float:
        """Images a second."""
        return (step - self.step) * self.batch / max(time.monotonic() - self.start, 1e-9)

    def words(self, step: int, progress: float) -> str:
        """Speed and time left; a line that has been told."""
        self.told = time.monotonic()
        done = max(progress - self.progress, 1e-9)
        left = max(0.0, 1.0 - progress) / done * (self.told - self.start)
        return f"{self.speed(step):,.0f} images a second, {timedelta(seconds=round(left))} left"

    def silent(self) -> bool:
        """Whether nothing has been told for a minute."""
        return time.monotonic() - self.told > MINUTE
