"""The errors of the analysis: what a user can get wrong, and what a metric cannot say."""


class ResultsError(ValueError):
    """The results cannot be read or do not answer the question; the message says why and what to do."""


class UndefinedError(ValueError):
    """A metric has no value for these predictions; the message says why. Stands in the place of a number."""
