from django.urls import path

from jobs import views

urlpatterns = [
    path("jobs", views.JobList.as_view(), name="jobs"),
    path("jobs/webhook-secret", views.WebhookSecret.as_view(), name="webhook-secret"),
    path("jobs/<uuid:job_id>", views.JobDetail.as_view(), name="job"),
    path("jobs/<uuid:job_id>/result", views.JobResult.as_view(), name="job-result"),
]
