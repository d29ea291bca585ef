from typing import TypeVar

T = TypeVar("T")

class Shape: ...

def made_in_c(cls: type[T]) -> type[T]: ...
