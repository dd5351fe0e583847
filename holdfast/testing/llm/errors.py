"""What OpenAI's API would refuse: an answer, not a failure of whoever runs the server."""


class BadRequestError(Exception):
    """A request that cannot be what it is; answered with 400, and no reply is used up for it.

    Attributes:
        param: the part of the body that is wrong, as OpenAI's errors name it.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        """Say what is wrong, in the words of the API where they are known."""
        super().__init__(message)
        self.param = param
