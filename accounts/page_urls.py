"""The account's pages under ``/dashboard/``."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
