"""The exception of parsers and validators that have a reason to tell."""


class Refusal(ValueError):
    """Why a value cannot be used, in words for its writer, to follow the place and a colon.

    Any other ValueError of a parser says just that the value is not of its kind, and the line that
    the user sees is made from what the option expects.
    """
