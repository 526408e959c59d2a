"""The one exception type of this room."""


class WarehouseError(Exception):
    """Something in the home cannot be read or written; the text is one sentence: what, where, what to do."""


class QueryError(WarehouseError):
    """A query that was refused or is wrong; the request is at fault, not the home."""
