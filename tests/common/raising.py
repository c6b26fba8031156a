"""Views that raise, for the tests of the error contract. A URLconf of its own."""

from django.core import exceptions as django_errors
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.urls import path, re_path
from rest_framework import exceptions as drf_errors
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from common import errors, pages


class Inner(serializers.Serializer):
    size = serializers.IntegerField()


class Input(serializers.Serializer):
    name = serializers.CharField(max_length=3)
    parts = Inner(many=True, required=False)

    def validate(self, attrs):
        if attrs["name"] == "no":
            raise serializers.ValidationError("Anything but no.")
        return attrs


RAISED = {
    "http404": Http404("secret detail"),
    "object-missing": django_errors.ObjectDoesNotExist("secret detail"),
    "denied": django_errors.PermissionDenied(),
    "django-validation": django_errors.ValidationError({"color": ["No such color."]}),
    "django-validation-plain": django_errors.ValidationError("Not that."),
    "suspicious": django_errors.SuspiciousOperation("secret detail"),
    "too-big": django_errors.RequestDataTooBig("secret detail"),
    "database": OperationalError("connection to secret detail failed"),
    "interface": InterfaceError("secret detail"),
    "throttled": drf_errors.Throttled(wait=7.2),
    "throttled-long": drf_errors.Throttled(wait=4000),
    "auth-failed": drf_errors.AuthenticationFailed("This key is no key."),
    "insufficient": errors.InsufficientCredits("5 needed.", should_retry=False),
    "busy": errors.Unavailable("Busy.", retry_after=1),
    "conflict": errors.Conflict("It runs.", retry_after=1),
    "bug": RuntimeError("secret detail"),
}


class Raises(APIView):
    permission_classes = (AllowAny,)

    def get(self, request, name):
        raise RAISED[name]


class Takes(APIView):
    permission_classes = (AllowAny,)

    def post(self, request):
        given = Input(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(given.validated_data)


class Closed(APIView):
    """As every view is by default."""

    def get(self, request):
        return Response({})


def crash(request):
    raise RuntimeError("secret detail")


urlpatterns = [
    path("api/raises/<slug:name>", Raises.as_view()),
    path("api/takes", Takes.as_view()),
    path("api/closed", Closed.as_view()),
    path("api/crash", crash),
    path("crash", crash),
    re_path(r"^api/", pages.api_not_found),
]
handler400 = pages.bad_request
handler403 = pages.refused
handler404 = pages.not_found
handler500 = pages.broken
