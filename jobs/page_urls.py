"""The pages of jobs under ``/dashboard/``."""

from django.urls import URLPattern, path

from jobs import pages

urlpatterns: list[URLPattern] = [
    path("jobs/", pages.jobs, name="dashboard-jobs"),
    path("jobs/<uuid:job_id>/", pages.job, name="dashboard-job"),
    path("jobs/<uuid:job_id>/cancel/", pages.cancel, name="dashboard-job-cancel"),
]
