"""What holds a file, a socket or processes, and lets go of them at the end of a ``with``."""

from __future__ import annotations

from abc import ABC, abstractmethod

from typing_extensions import Self

__all__ = ["Closing"]


class Closing(ABC):
    """Closed by :meth:`close`, or by the ``with`` that it is used in."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; it is of no use then."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
