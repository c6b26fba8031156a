"""The HTTP addresses of an account."""
