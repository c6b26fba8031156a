"""Plans, what each user may do now, and what was paid."""

from billing.models.allowance import Allowance, AllowancePerson, AllowanceRange
from billing.models.catchup import CatchUp
from billing.models.demo import DemoSubscription
from billing.models.letters import Letter
from billing.models.payments import CreditTier, Customer, Order, Payment, PaymentGrant
from billing.models.plans import Entitlement, Plan, PlanPrice, Setup
from billing.models.topups import TopUp

__all__ = [
    "Allowance",
    "AllowancePerson",
    "AllowanceRange",
    "CatchUp",
    "CreditTier",
    "Customer",
    "DemoSubscription",
    "Entitlement",
    "Letter",
    "Order",
    "Payment",
    "PaymentGrant",
    "Plan",
    "PlanPrice",
    "Setup",
    "TopUp",
]
