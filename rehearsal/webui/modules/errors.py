"""Errors that carry an answer."""


class HTTPException(Exception):
    def __init__(self, status_code, detail):
        # Without arguments, as in the real one's answers: `errors` is empty for these.
        super().__init__()
        self.status_code = status_code
        self.detail = detail


class ValidationError(Exception):
    """A body that does not fit: 422 with each mistake's place."""

    def __init__(self, mistakes):
        super().__init__()
        self.mistakes = mistakes
