"""``/api/credits``: the operator's other back ends hold, capture, spend and refund credits.

``views`` parses, ``moves`` says what a service may and calls the ledger, ``serializers`` has the
shapes. Who is calling is a service key (``accounts.services``).
"""
