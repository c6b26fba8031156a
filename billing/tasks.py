"""What Celery runs for billing; when is said in ``config.schedule``."""

from celery import shared_task

from accounts.models import User
from billing import (
    allowance,
    catchup,
    closing,
    customers,
    demo,
    entitlements,
    letters,
    low,
    orders,
    rollover,
    topping_up,
)
from billing.errors import StripeUnavailable
from billing.gateway import traces


@shared_task
def forget_ranges() -> int:
    """Drop the counts of allowances a range whose day is long over."""
    return allowance.forget_ranges()


@shared_task
def close_customer(user_id: int) -> bool:
    """End what somebody has at Stripe who has just left."""
    return closing.close(user_id)


@shared_task
def close_customers() -> int:
    """The same for all for whom it could not be done at once."""
    return closing.close_all()


@shared_task
def forget_strangers() -> int:
    """Drop what the mirror of Stripe has of people who are gone."""
    closing.begin_forgotten()
    return traces.forget_strangers()


@shared_task
def renew_demo() -> int:
    """Begin the next period of the demo mode's subscriptions, or end them."""
    return demo.renew()


@shared_task(
    autoretry_for=(StripeUnavailable,), retry_backoff=10, retry_backoff_max=600, max_retries=8
)
def pass_on_email(user_id: int) -> bool:
    """Tell Stripe a customer's new e-mail address. What is lost here, the next purchase mends."""
    return customers.pass_on_email(User.objects.get(pk=user_id))


@shared_task
def roll_over() -> int:
    """Grant this month's allowance of the free plan to whoever has not got it."""
    return rollover.run()


@shared_task
def top_up(user_id: int) -> int:
    """Top one user's wallet up."""
    return topping_up.attend(user_id)


@shared_task
def attend_low() -> int:
    """Look at every wallet that has run low: top it up, or tell its owner."""
    users = topping_up.due()
    for user in users:
        top_up.apply_async([user], expires=30)  # one that waits for Stripe keeps no other waiting
    return len(users) + low.mail_due()


@shared_task
def mark_low() -> int:
    """Set the marks under which wallets are low, where they are not as they should be."""
    return low.mark_all()


@shared_task
def send_letters() -> int:
    """Mails about money that could not be handed over in their time."""
    return letters.send_waiting()


@shared_task
def forget_letters() -> int:
    """Drop what was sent long ago."""
    return letters.forget()


@shared_task
def catch_up() -> int:
    """Apply what Stripe told of in vain. Raises when something failed: the next run tries again."""
    return catchup.catch_up().applied


@shared_task
def lapse() -> int:
    """End past due plans whose grace is over."""
    return entitlements.lapse()


@shared_task
def give_up_orders() -> int:
    """Expire orders that nobody can pay any more."""
    return orders.give_up_old()
