"""URLs as they are shown."""

HIDDEN = ":***@"


def without_password(url: str) -> str:
    """The URL with stars for the password in it."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{HIDDEN}{host}{slash}{path}" if at and ":" in user else url
