from django.urls import path

from usage import views

urlpatterns = [
    path("me", views.Me.as_view(), name="me"),
    path("calls", views.CallList.as_view(), name="calls"),
    path("calls/<uuid:call_id>", views.CallDetail.as_view(), name="call"),
    path("transfers", views.TransferList.as_view(), name="transfers"),
    path("usage", views.UsageList.as_view(), name="usage"),
]
