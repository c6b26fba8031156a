"""Billing over HTTP, below ``/api/``."""
