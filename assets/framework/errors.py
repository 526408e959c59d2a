"""Requests that cannot be met."""


class RequestError(Exception):
    """The request is wrong (unknown profile, unknown checkpoint …); one sentence: what, where, what to do."""
