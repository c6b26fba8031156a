"""The pages of usage under ``/dashboard/``."""

from django.urls import URLPattern, path

from usage import pages

urlpatterns: list[URLPattern] = [
    path("", pages.overview, name="dashboard"),
    path("history/", pages.history, name="dashboard-history"),
]
