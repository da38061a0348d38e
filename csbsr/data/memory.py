"""A bounded memory for generated images."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Remember what a pure function of an index returned, up to `items` values.

    Values beyond that are computed again at every call: in a training order that visits each
    index once per epoch, dropping old values would not help. Safe to call from several threads.
    """

    def __init__(self, function: Callable[[int], T], items: int = 400):
        self._function, self._items = function, items
        self._values: dict[int, T] = {}

    def __call__(self, i: int) -> T:
        if i in self._values:
            return self._values[i]
        value = self._function(i)
        if len(self._values) < self._items:
            self._values[i] = value
        return value
