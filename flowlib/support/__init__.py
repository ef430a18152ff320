"""What every room borrows: checks of what arrives, and the one root finder. Knows torch alone."""

from flowlib.support.roots import monotone_root

__all__ = ["monotone_root"]
