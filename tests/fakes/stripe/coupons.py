"""Coupons, the promotion codes that people type, and the discounts that they become."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from . import events, forms, lists
from .errors import StripeError
from .forms import Params
from .store import Object, Store


def create(store: Store, params: Params) -> Object:
    """``POST /v1/coupons``."""
    id = forms.text(params, "id") or store.new_id("x", 8)[2:]
    if id in store.tables["coupons"]:
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    percent = forms.text(params, "percent_off")
    if (percent is None) == ("amount_off" not in params):
        raise StripeError("Must provide percent_off or amount_off.")
    duration = forms.choice(params, "duration", ("once", "repeating", "forever"), "once")
    if duration == "repeating":
        forms.require(params, "duration_in_months")
    coupon = store.add(
        "coupons",
        {
            "id": id,
            "object": "coupon",
            "amount_off": forms.integer(params, "amount_off", at_least=1),
            "created": store.now(),
            "currency": forms.currency(params) if percent is None else None,
            "duration": duration,
            "duration_in_months": forms.integer(params, "duration_in_months", at_least=1),
            "livemode": False,
            "max_redemptions": forms.integer(params, "max_redemptions", at_least=1),
            "metadata": forms.metadata(params),
            "name": forms.text(params, "name"),
            "percent_off": None if percent is None else _percent(percent),
            "redeem_by": forms.integer(params, "redeem_by"),
            "times_redeemed": 0,
            "valid": True,
            "_applies_to": forms.mapping(params, "applies_to") or None,
        },
    )
    events.emit(store, "coupon.created", coupon)
    return coupon


def _percent(told: str) -> float | int:
    try:
        percent = Decimal(told)
    except InvalidOperation:
        raise StripeError(f"Invalid decimal: {told}", param="percent_off") from None
    if not 0 < percent <= 100:
        raise StripeError("percent_off is above 0 and at most 100.", param="percent_off")
    return int(percent) if percent == int(percent) else float(percent)


def update(store: Store, params: Params, id: str) -> Object:
    coupon = store.get("coupons", id)
    if "name" in params:
        coupon["name"] = forms.text(params, "name")
    coupon["metadata"] = forms.metadata(params, coupon["metadata"])
    return coupon


def delete(store: Store, params: Params, id: str) -> Object:
    coupon = store.get("coupons", id)
    store.remove("coupons", id)
    events.emit(store, "coupon.deleted", coupon)
    return {"id": id, "object": "coupon", "deleted": True}


def list_coupons(store: Store, params: Params) -> Object:
    return lists.answer(store, "coupons", params, url="/v1/coupons")


def create_code(store: Store, params: Params) -> Object:
    """``POST /v1/promotion_codes`` with ``promotion[coupon]``, as since 2025-09-30.clover."""
    promotion = forms.mapping(params, "promotion")
    if "coupon" in params:
        raise StripeError(
            "Received unknown parameter: coupon. Did you mean promotion?",
            code="parameter_unknown",
            param="coupon",
        )
    forms.require(promotion, "coupon")
    coupon = store.get("coupons", promotion["coupon"], "promotion[coupon]")
    word = forms.text(params, "code") or store.new_id("x", 8)[2:].upper()
    if any(code["active"] and _same(code, word) for code in store.all("promotion_codes")):
        raise StripeError("An active promotion code with `code: " + word + "` already exists.")
    restrictions = forms.mapping(params, "restrictions")
    code = store.add(
        "promotion_codes",
        {
            "id": store.new_id("promo"),
            "object": "promotion_code",
            "active": forms.boolean(params, "active", True),
            "code": word,
            "created": store.now(),
            "customer": forms.text(params, "customer"),
            "expires_at": forms.integer(params, "expires_at"),
            "livemode": False,
            "max_redemptions": forms.integer(params, "max_redemptions", at_least=1),
            "metadata": forms.metadata(params),
            "promotion": {"coupon": coupon["id"], "type": "coupon"},
            "restrictions": {
                "first_time_transaction": forms.boolean(restrictions, "first_time_transaction"),
                "minimum_amount": forms.integer(restrictions, "minimum_amount"),
                "minimum_amount_currency": forms.text(restrictions, "minimum_amount_currency"),
            },
            "times_redeemed": 0,
        },
    )
    events.emit(store, "promotion_code.created", code)
    return code


def update_code(store: Store, params: Params, id: str) -> Object:
    code = store.get("promotion_codes", id)
    before = dict(code)
    if "active" in params:
        code["active"] = forms.boolean(params, "active")
    code["metadata"] = forms.metadata(params, code["metadata"])
    if previous := events.changed(before, code):
        events.emit(store, "promotion_code.updated", code, previous)
    return code


def list_codes(store: Store, params: Params) -> Object:
    filters = ("active", "code", "customer")
    coupon = forms.text(params, "coupon")
    return lists.answer(
        store,
        "promotion_codes",
        params,
        url="/v1/promotion_codes",
        filters=filters,
        where=lambda code: coupon in (None, code["promotion"]["coupon"]),
    )


def _same(code: Object, word: str) -> bool:
    return bool(code["code"].lower() == word.strip().lower())


def by_word(store: Store, word: str, customer: str | None, amount: int) -> Object:
    """The promotion code that a person typed. StripeError, to be shown, if it does not apply."""
    for code in store.all("promotion_codes"):
        if code["active"] and _same(code, word):
            check_code(store, code, customer, amount)
            return code
    raise StripeError(
        "This code is invalid.", code="promotion_code_invalid", param="promotion_code"
    )


def check_code(store: Store, code: Object, customer: str | None, amount: int) -> None:
    """StripeError unless this customer may use the code for this amount of minor units."""
    limits = code["restrictions"]
    coupon = store.tables["coupons"].get(code["promotion"]["coupon"])
    paid_before = customer and any(
        charge["paid"] for charge in store.where("charges", customer=customer)
    )
    for wrong, message in (
        (not code["active"] or coupon is None, "This code is invalid."),
        (_is_over(store, code, "expires_at"), "This code has expired."),
        (coupon is not None and not is_valid(store, coupon), "This code has expired."),
        (code["customer"] not in (None, customer), "This code is invalid."),
        (
            limits["first_time_transaction"] and paid_before,
            "This promotion code cannot be redeemed because the associated customer has prior "
            "transactions.",
        ),
        (
            limits["minimum_amount"] is not None and amount < limits["minimum_amount"],
            "This order is below the minimum of the promotion code.",
        ),
    ):
        if wrong:
            raise StripeError(message, code="promotion_code_invalid", param="promotion_code")


def is_valid(store: Store, coupon: Object) -> bool:
    """Not used up and not past its date."""
    return not _is_over(store, coupon, "redeem_by")


def _is_over(store: Store, object: Object, until: str) -> bool:
    most, end = object["max_redemptions"], object[until]
    return bool(
        (most is not None and object["times_redeemed"] >= most)
        or (end is not None and end <= store.now())
    )


def from_params(store: Store, params: Params, customer: str | None, amount: int) -> list[Object]:
    """``discounts[]`` of a request as ``{"coupon", "promotion_code"}``, checked."""
    chosen = []
    for index, told in enumerate(forms.sequence(params, "discounts")):
        param = f"discounts[{index}]"
        if code_id := forms.text(told, "promotion_code"):
            code = store.get("promotion_codes", code_id, f"{param}[promotion_code]")
            check_code(store, code, customer, amount)
            chosen.append(of_code(code))
        else:
            coupon = store.get("coupons", told.get("coupon"), f"{param}[coupon]")
            if not is_valid(store, coupon):
                raise StripeError(
                    f"Coupon expired: {coupon['id']}",
                    code="coupon_expired",
                    param=f"{param}[coupon]",
                )
            chosen.append({"coupon": coupon["id"], "promotion_code": None})
    if len(chosen) > 1:
        raise StripeError("This fake takes one discount at a time.", param="discounts")
    return chosen


def of_code(code: Object) -> Object:
    return {"coupon": code["promotion"]["coupon"], "promotion_code": code["id"]}


def redeem(store: Store, chosen: Object, customer: str | None, **about: object) -> Object:
    """A discount object from ``{"coupon", "promotion_code"}``; counts the redemption."""
    coupon = store.get("coupons", chosen["coupon"])
    coupon["times_redeemed"] += 1
    coupon["valid"] = is_valid(store, coupon)
    if chosen["promotion_code"]:
        code = store.get("promotion_codes", chosen["promotion_code"])
        code["times_redeemed"] += 1
        if code["max_redemptions"] and code["times_redeemed"] >= code["max_redemptions"]:
            code["active"] = False
    return store.add(
        "discounts",
        {
            "id": store.new_id("di"),
            "object": "discount",
            "checkout_session": None,
            "customer": customer,
            "end": None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": chosen["promotion_code"],
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": store.now(),
            "subscription": None,
            "subscription_item": None,
            **about,
        },
    )
