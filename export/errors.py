"""Errors of the exporter, the runtime and the web page; standard library only."""


class ExportError(ValueError):
    """A model, a folder or a page cannot be made or used; the message is one sentence for the user."""


class ModelError(ExportError):
    """A model cannot be read or run; the message is one sentence for the user."""
