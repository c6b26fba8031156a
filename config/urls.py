"""Every address that Django answers. The proxy's paths never reach it (``config.asgi``), and
``/healthz`` and ``/readyz`` are answered in front of it (``common.middleware.Health``)."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.views import oidc
from common import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    # In front of allauth's own of the same addresses.
    path("identity/o/api/token", oidc.token),
    path("identity/o/api/revoke", oidc.revoke),
    path("", include("allauth.idp.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("dashboard/", include("accounts.page_urls")),
    path("api/", include("accounts.urls")),
    path("api/", include("billing.urls")),
    path("api/", include("usage.urls")),
    path("api/", include("proxy.urls")),
    re_path(r"^api/", pages.api_not_found),
]

handler400 = pages.bad_request
handler403 = pages.refused
handler404 = pages.not_found
handler500 = pages.broken
