"""Verifications written out: for a terminal, as JSON, as a page, and as other tools write them.

One module a layout; each makes lines or a text of a :class:`Verification` and prints nothing. What
they say is worked out in ``explain`` and ``wording``.
"""
