"""Plans in the admin, and who has which."""

import pytest
from django.contrib.admin.models import LogEntry

from billing import entitlements
from billing.models import Plan
from tests.admin_pages import token_on
from tests.billing.staff import do, page_of, subscribe

pytestmark = pytest.mark.usefixtures("clean_books")


def form_of(admin, path):
    """What a browser would send back of an admin's form, as it is."""
    fields = {}
    form = admin.get(path).context["adminform"].form
    for name, value in form.initial.items():
        if value in (None, False) or name not in form.fields:
            continue
        fields[name] = ",".join(value) if isinstance(value, list) else form[name].value()
    return fields


@pytest.fixture
def pro(clean_books):
    Plan.objects.filter(slug="pro").update(price=900)
    return Plan.objects.get(slug="pro")


def test_amounts_are_typed_and_shown_as_credits(admin, pro):
    path = f"/admin/billing/plan/{pro.pk}/change/"
    assert 'value="100.000000"' in admin.get(path).content.decode()
    sent = form_of(admin, path) | {"monthly_allowance": "0.000001"}
    assert admin.post(path, sent).status_code == 302
    pro.refresh_from_db()
    assert pro.monthly_allowance == 1
    response = admin.post(path, sent | {"monthly_allowance": "1.0000001"})
    assert response.status_code == 200
    assert "string of credits" in response.content.decode()


def test_there_is_always_one_default_plan(admin, pro):
    free = Plan.objects.get(slug="free")
    path = f"/admin/billing/plan/{free.pk}/change/"
    sent = form_of(admin, path) | {"monthly_allowance": "0"}
    del sent["is_default"]
    response = admin.post(path, sent)
    assert "always one default plan" in response.content.decode()
    path = f"/admin/billing/plan/{pro.pk}/change/"
    sent = form_of(admin, path) | {"monthly_allowance": "100", "is_default": "on"}
    assert "it is free" in admin.post(path, sent).content.decode()
    response = admin.post(path, sent | {"price": ""})
    assert response.status_code == 302, response.context["adminform"].form.errors
    assert list(Plan.objects.filter(is_default=True)) == [pro]


def test_a_new_plan(admin):
    path = "/admin/billing/plan/add/"
    sent = {"name": "Team", "slug": "team", "metering": "credits", "monthly_allowance": "5",
            "for_sale": "on", "allowed_models": "demo,gpt-5"}  # fmt: skip
    assert admin.post(path, sent).status_code == 302
    assert Plan.objects.get(slug="team").allowed_models == ["demo", "gpt-5"]


def test_a_plan_is_not_deleted_and_keeps_its_slug(admin, pro):
    assert admin.post(f"/admin/billing/plan/{pro.pk}/delete/", {"post": "yes"}).status_code == 403
    path = f"/admin/billing/plan/{pro.pk}/change/"
    admin.post(path, form_of(admin, path) | {"monthly_allowance": "1", "slug": "other"})
    assert Plan.objects.filter(slug="pro").exists()


def test_assigning_a_plan_asks_first_and_keeps_the_reason(admin, user, pro):
    path = f"/admin/accounts/user/{user.pk}/plan/"
    token = token_on(admin, path)
    sent = {"token": token, "plan": pro.pk, "status": "active", "reason": "Beta tester."}
    asked = admin.post(path, sent).content.decode()
    assert ">Pro</dd>" in asked
    assert entitlements.current(user).plan.slug == "free"
    admin.post(path, sent | {"confirmed": "yes"})
    assert entitlements.current(user).plan.slug == "pro"
    assert "Beta tester." in LogEntry.objects.get().get_change_message()


def test_entitlements_are_read_only(admin, user, pro):
    entitlements.assign_plan(user=user, plan=pro)
    base = f"/admin/billing/entitlement/{user.pk}"
    assert admin.get(f"{base}/change/").status_code == 200
    assert admin.post(f"{base}/change/", {"status": "canceled"}).status_code == 403
    assert admin.post(f"{base}/delete/", {"post": "yes"}).status_code == 403
    assert admin.get("/admin/billing/entitlement/add/").status_code == 403


def test_a_price_is_typed_as_money(admin, pro):
    path = f"/admin/billing/plan/{pro.pk}/change/"
    assert 'value="9.00"' in admin.get(path).content.decode()
    sent = form_of(admin, path) | {"price": "12.5", "trial_days": "", "trial_allowance": "2"}
    assert admin.post(path, sent).status_code == 302
    pro.refresh_from_db()
    assert (pro.price, pro.trial_days, pro.trial_allowance) == (1250, 0, 2_000_000)
    for wrong in ("0", "-1", "9.001", "1,000", "9 USD", "1e3"):
        assert admin.post(path, sent | {"price": wrong}).status_code == 200, wrong


def test_a_new_price_says_what_it_does(delivering, admin, user):
    row = subscribe(delivering, user)
    pro = Plan.objects.get(slug="pro")
    path = page_of(pro)
    assert "in line" in admin.get("/admin/billing/plan/").content.decode()
    page = admin.post(path, form_of(admin, path) | {"price": "12"}, follow=True).content.decode()
    assert "Stripe does not know of this yet" in page
    assert "One user subscribes to Pro at another price" in page
    assert "not in line" in admin.get("/admin/billing/plan/").content.decode()
    asked = admin.get(page_of(pro, "sync")).content.decode()  # there is nothing to fill in first
    assert "price $12.00 a month would be created" in asked
    assert "Yes, do it" in asked
    assert "Change it" not in asked
    do(admin, page_of(pro, "sync"))
    page = admin.get(path).content.decode()
    assert "New subscribers pay this price." in page
    assert "$12.00 a month, for new subscribers, 0 subscribed" in page
    assert "$9.00 a month, older, 1 subscribed" in page
    assert "an older price" in admin.get(page_of(row)).content.decode()


def test_credit_tiers_show_what_they_come_to_and_warn(admin):
    base = "/admin/billing/credittier/"
    for quantity, price in (("100", "0.09"), ("1000", "0.095")):
        sent = {"from_quantity": quantity, "price": price}
        page = admin.post(f"{base}add/", sent, follow=True).content.decode()
    assert "$45.00" in page
    assert "From 1,000 credits on one costs 0.0950, more than below (0.0900)." in page
    for wrong in ({"from_quantity": "0"}, {"from_quantity": "10001"}, {"price": "0"}):
        sent = {"from_quantity": "7", "price": "0.1"} | wrong
        assert admin.post(f"{base}add/", sent).status_code == 200, wrong
