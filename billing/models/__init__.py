"""Plans, what each user may do now, and what was paid."""

from billing.models.allowance import Allowance, AllowancePerson, AllowanceRange
from billing.models.payments import CreditTier, Customer, Order, Payment, PaymentGrant
from billing.models.plans import Entitlement, Plan, PlanPrice
from billing.models.topups import TopUp

__all__ = [
    "Allowance",
    "AllowancePerson",
    "AllowanceRange",
    "CreditTier",
    "Customer",
    "Entitlement",
    "Order",
    "Payment",
    "PaymentGrant",
    "Plan",
    "PlanPrice",
    "TopUp",
]
