"""The error of files of weights; standard library only."""


class ModelFileError(ValueError):
    """A file of weights is absent, damaged, or of another kind; the message is one sentence for the user."""


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, or its type if there is none.

    What it repeats of a file is cut at 300 characters, with control characters escaped.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line[:300])
