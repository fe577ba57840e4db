from collections.abc import Iterable

class Decoder:
    changes: int
    fields: list[tuple[bytes, bytes]]
    octets: int
    lines: int
    def __init__(self) -> None: ...
    def decode(
        self,
        block: bytes,
        most_bytes: int = ...,
    ) -> list[tuple[bytes, bytes]]: ...

class Encoder:
    changes: int
    def __init__(self) -> None: ...
    def encode(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes: ...
    def resize(self, limit: int) -> int: ...
