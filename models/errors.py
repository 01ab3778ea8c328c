"""The error of files of weights; standard library only."""


class ModelFileError(ValueError):
    """A file of weights is absent, damaged, or of another kind; the message is one sentence for the user."""
