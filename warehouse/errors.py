"""The one exception type of this room."""


class WarehouseError(Exception):
    """Something in the home cannot be read or written; the text is one sentence: what, where, what to do."""


class RefusedError(WarehouseError):
    """What was asked for is not there or not allowed; the request is at fault, not the home."""


class QueryError(RefusedError):
    """A query that was refused or is wrong."""
