"""Accounts for the callers, made by the applications' own verbs; run inside Django's settings.

``python -m bench.seed COUNT`` prints one JSON line: the model to call, and for each account its
user, wallet, key and the key's id. Each has a million credits and the plan without limits.
"""

import json
import sys

import django

CREDITS = 1_000_000


def main() -> None:
    django.setup()
    # Django's models can't be imported before its settings are ready.
    from django.db import transaction

    from accounts import verbs as accounts
    from billing import entitlements
    from billing.models import Plan
    from common.money import MICRO
    from ledger import verbs as ledger
    from ledger.models import Grant
    from usage.models import AIModel
    from usage.sync import sync_models

    sync_models()
    plan = Plan.objects.get(slug="internal")
    made = []
    with transaction.atomic():
        for number in range(int(sys.argv[1])):
            user = accounts.create_user(email=f"caller-{number}@bench.test")
            entitlements.assign_plan(user=user, plan=plan)
            issued = accounts.issue_key(user=user, name="bench")
            wallet = ledger.wallet_of(user=user.pk)
            ledger.grant(
                account=wallet,
                amount=CREDITS * MICRO,
                kind=Grant.Kind.PURCHASE,
                key=f"bench:{user.pk}",
            )
            made.append((user.pk, wallet, issued.secret, str(issued.key.pk)))
    model = AIModel.objects.get(name="gpt-4o-mini")
    print(json.dumps({"model": model.name, "price": model.prices.all()[0].pk, "accounts": made}))


if __name__ == "__main__":
    main()
