"""What the fake Stripe takes for known is what stripe-python declares."""

import pytest
import stripe.params
from stripe import RequestOptions

from tests.fakes.stripe.known import _DECLARED, _names


@pytest.mark.parametrize("path", _DECLARED)
def test_the_names_are_those_of_stripes_own_declaration(path):
    declared = stripe.params
    for part in _DECLARED[path].split("."):
        declared = getattr(declared, part)
    options = RequestOptions.__annotations__.keys()  # stripe-python's own, which it does not send
    assert _names(path) == declared.__annotations__.keys() - options
    assert _names(path)
