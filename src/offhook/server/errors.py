"""What keeps the server from running."""


class StartError(Exception):
    """The server cannot start; the text says what is in the way and how to mend it."""
