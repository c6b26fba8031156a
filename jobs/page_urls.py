"""The pages of jobs under ``/dashboard/``."""

from django.urls import URLPattern, path

from jobs import pages, webhook_pages

urlpatterns: list[URLPattern] = [
    path("jobs/", pages.jobs, name="dashboard-jobs"),
    path("jobs/<uuid:job_id>/", pages.job, name="dashboard-job"),
    path("jobs/<uuid:job_id>/cancel/", pages.cancel, name="dashboard-job-cancel"),
    path("jobs/<uuid:job_id>/retry/", pages.retry, name="dashboard-job-retry"),
    path("jobs/webhooks/", webhook_pages.webhooks, name="dashboard-webhooks"),
    path("jobs/webhooks/secret/", webhook_pages.secret, name="dashboard-webhook-secret"),
    path("jobs/webhooks/renew/", webhook_pages.renew, name="dashboard-renew-webhook-secret"),
]
