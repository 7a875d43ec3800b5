"""The one error a user can cause."""


class ResultsError(ValueError):
    """The results cannot be read or do not answer the question; the message says why and what to do."""
