from django.urls import path

from usage.credits import views

urlpatterns = [
    path("hold", views.Hold.as_view(), name="hold"),
    path("capture", views.Capture.as_view(), name="capture"),
    path("release", views.Release.as_view(), name="release"),
    path("spend", views.Spend.as_view(), name="spend"),
    path("refund", views.Refund.as_view(), name="refund"),
]
