"""dj-stripe's migrations as the test databases take them: one, that makes its tables at once."""
