from tests.billing.conftest import admin, staff

__all__ = ["admin", "staff"]
