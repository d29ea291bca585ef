from typing import Generic, TypeVar

S = TypeVar("S")

class Codec(Generic[S]):
    def __init__(
        self,
        *,
        session: type[S],
        stream: type,
        origin: type,
        attribute: type,
        line: type,
        max_streams: int,
        max_formats: int,
        max_lines: int,
    ) -> None: ...
    def read(self, body: bytes) -> S: ...
    def write(self, description: S) -> bytes: ...

class Section: ...
