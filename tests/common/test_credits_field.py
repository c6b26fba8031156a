"""Amounts typed in the admin: credits outside, exact microcredits inside."""

import pytest
from django import forms

from common.admin import CreditsFormField


@pytest.mark.parametrize(
    ("typed", "microcredits"),
    [("5", 5_000_000), ("0.25", 250_000), (" 1.000001 ", 1_000_001), ("0", 0)],
)
def test_exact(typed, microcredits):
    assert CreditsFormField().clean(typed) == microcredits


@pytest.mark.parametrize("typed", ["-1", "1e3", "0.0000001", "NaN", "1,5", "five", "9" * 13])
def test_refused(typed):
    with pytest.raises(forms.ValidationError):
        CreditsFormField().clean(typed)


def test_the_least():
    with pytest.raises(forms.ValidationError):
        CreditsFormField(least=1).clean("0")


def test_shown_as_credits_and_unchanged_when_sent_back():
    field = CreditsFormField()
    assert field.prepare_value(1_500_000) == "1.500000"
    assert not field.has_changed(1_500_000, "1.500000")
    assert not field.has_changed(1_500_000, "1.5")
    assert field.has_changed(1_500_000, "1.6")
    assert field.has_changed(1_500_000, "x")
