"""Plans in the admin, and who has which."""

import pytest
from django.contrib.admin.models import LogEntry

from billing import entitlements
from billing.models import Plan
from tests.admin_pages import token_on

pytestmark = pytest.mark.django_db


def form_of(admin, path):
    """What a browser would send back of an admin's form, as it is."""
    fields = {}
    for name, value in admin.get(path).context["adminform"].form.initial.items():
        if value not in (None, False):
            fields[name] = ",".join(value) if isinstance(value, list) else value
    return fields


@pytest.fixture
def pro():
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
    response = admin.post(path, sent)
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
    admin.post(path, sent)
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
