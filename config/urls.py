"""Every address that Django answers. The proxy's paths never reach it (``config.asgi``), and
``/healthz`` and ``/readyz`` are answered in front of it (``common.middleware.Health``)."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts import limits
from accounts.views import headless, oidc
from billing import front, webhooks
from common import pages

# Staff sign in as everybody does, under the same limits; see accounts.staff for the rest.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", front.home, name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("_allauth/app/v1/account/phone", pages.no_such_address),  # allauth's fails: no telephones
    path("_allauth/openapi.json", headless.description),
    path("_allauth/openapi.yaml", pages.no_such_address),
    path("_allauth/", include("allauth.headless.urls")),
    # In front of allauth's own of the same addresses.
    path("identity/o/authorize", oidc.authorize),
    path("identity/o/device", oidc.device),
    path("identity/o/api/token", limits.by_address(oidc.token)),
    path("identity/o/api/device/code", limits.by_address(oidc.device_code)),
    path("identity/o/api/revoke", limits.by_address(oidc.revoke)),
    path("", include("allauth.idp.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("dashboard/", include("usage.page_urls")),
    path("dashboard/", include("accounts.page_urls")),
    path("dashboard/", include("billing.page_urls")),
    path("dashboard/", include("jobs.page_urls")),
    path("api/", include("accounts.urls")),
    path("api/", include("billing.urls")),
    path("api/", include("usage.urls")),
    path("api/credits/", include("usage.credits.urls")),
    path("api/", include("proxy.urls")),
    path("api/", include("jobs.urls")),
    re_path(r"^api/", pages.api_not_found),
    path("stripe/webhook/<uuid:uuid>/", webhooks.receive, name="stripe-webhook"),
]

handler400 = pages.bad_request
handler403 = pages.refused
handler404 = pages.not_found
handler429 = pages.too_many  # allauth asks for it
handler500 = pages.broken
