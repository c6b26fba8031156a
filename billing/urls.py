from django.urls import path

from billing import views

urlpatterns = [path("plans", views.PlanList.as_view(), name="plans")]
