"""Text that shows itself to nobody: passwords, and what is computed from them."""


class Secret(str):
    """Text that must not be shown: `repr` and formatting give a mask, the value is read by `reveal()`."""

    __slots__ = ()

    def reveal(self) -> str:
        """The text itself; call it only where it is used in a computation."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"
