"""``/api/jobs``: queued AI work."""

import uuid

import orjson
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import events
from accounts.authentication import HasScope, SignedIn, user_of
from accounts.models import ApiKey
from common.drf import JSONParser
from common.errors import NotFound
from common.openapi import SIGNED_IN, errors
from common.paging import paginate
from common.tables import TableView, read_query
from jobs import creating, forms, reading, serializers, uploads, verbs
from jobs.telling import signing
from usage import idempotency

KEY = OpenApiParameter(
    name="Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="The same key and body answer the same job again, as long as it is kept; another "
    "body is refused (422).",
)


class MayCallAI(HasScope):
    scope = "ai"


class JobList(TableView):
    permission_classes = (MayCallAI,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser, MultiPartParser)

    @extend_schema(
        operation_id="jobs",
        summary="Jobs, newest first",
        description="Those that have ended are kept for a set time.",
        parameters=[serializers.JobQuery],
        responses={200: serializers.JobPageSerializer, **errors(400, 401, 403, 429, 503)},
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(serializers.JobQuery, request)
        jobs = reading.jobs_of(user_of(request), query)
        page = paginate(
            request,
            cursor=self.cursor(query, parts=2),
            limit=self.page_size(request, query.get("limit")),
            fetch=lambda cursor, count: reading.page_of(jobs, cursor, count),
            place=reading.place,
        )
        return self.respond(page, serializers.JobSerializer)

    @extend_schema(
        operation_id="create_job",
        summary="Queue a job",
        description="The most that it can cost is held at once; when it is done, what it has cost "
        "is taken and the rest returned, and of what fails nothing is taken.",
        parameters=[KEY],
        request={
            "application/json": serializers.NewJobSerializer,
            uploads.FORM: serializers.NewJobFormSerializer,
        },
        responses={
            202: serializers.JobDetailSerializer,
            **errors(400, 401, 402, 403, 404, 413, 415, 422, 429, 503),
        },
        tags=["jobs"],
    )
    def post(self, request: Request) -> Response:
        form = forms.read_form(request) if forms.is_form(request) else None
        raw = request.body if form is None else form.meaning
        header = request.headers.get("idempotency-key")
        key = idempotency.read(None if header is None else header.encode(), request.path, raw)
        body = serializers.NewJobSerializer(data=request.data if form is None else form.fields)
        body.is_valid(raise_exception=True)
        user = user_of(request)
        created = creating.create(
            user=user,
            key=request.auth if isinstance(request.auth, ApiKey) else None,
            kind=body.validated_data["kind"],
            given=body.validated_data["input"],
            webhook=body.validated_data.get("webhook", ""),
            idempotency=key,
            upload=None if form is None else form.upload,
        )
        if not created.repeated:
            kind = body.validated_data["kind"]
            return Response(reading.body_of_new(created, kind), status=202)
        job = reading.detail(reading.job_of(user, created.job))
        return Response(serializers.JobDetailSerializer(job).data, status=202)


class JobDetail(APIView):
    permission_classes = (MayCallAI,)

    @extend_schema(
        operation_id="job",
        summary="One job, with its result",
        responses={200: serializers.JobDetailSerializer, **errors(401, 403, 404, 429, 503)},
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        job = reading.detail(reading.job_of(user_of(request), job_id))
        return Response(serializers.JobDetailSerializer(job).data)

    @extend_schema(
        operation_id="cancel_job",
        summary="Cancel a job",
        description="One that is queued ends at once, one that runs within two seconds; of one "
        "that has ended nothing changes. What is held is released; what a batch has delivered is "
        "paid for.",
        responses={202: serializers.JobDetailSerializer, **errors(401, 403, 404, 429, 503)},
        tags=["jobs"],
    )
    def delete(self, request: Request, job_id: uuid.UUID) -> Response:
        user = user_of(request)
        kind = reading.job_of(user, job_id).kind
        state = verbs.cancel(job=job_id)
        if state == "canceled":
            uploads.drop_if_over(job_id, kind, state)
            events.changed(user.pk)
            events.publish(user.pk, "job", {"id": str(job_id), "state": state})
        job = reading.detail(reading.job_of(user, job_id))
        return Response(serializers.JobDetailSerializer(job).data, status=202)


class JobResult(APIView):
    permission_classes = (MayCallAI,)

    @extend_schema(
        operation_id="job_result",
        summary="The result of a job, of any size",
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, description="as the job's kind has it"),
            **errors(401, 403, 404, 429, 503),
        },
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: uuid.UUID) -> HttpResponse:
        job = reading.job_of(user_of(request), job_id)
        items = list(job.items.all())
        if not job.has_ended or not any(item.result or item.file for item in items):
            raise NotFound("The job has no result, or has none yet.")
        return HttpResponse(
            orjson.dumps(reading.result_of(job, items)), content_type="application/json"
        )


class WebhookSecret(APIView):
    """Like API keys, these are for people: a program is given the secret, it takes none."""

    permission_classes = (SignedIn,)

    @extend_schema(
        operation_id="webhook_secret",
        summary="The secret that your webhooks are signed with",
        auth=SIGNED_IN,
        responses={200: serializers.WebhookSecretSerializer, **errors(401, 403, 429, 503)},
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        return Response({"secret": signing.secret_of(user_of(request))})

    @extend_schema(
        operation_id="renew_webhook_secret",
        summary="Make another secret; the one before signs nothing any more",
        request=None,
        auth=SIGNED_IN,
        responses={200: serializers.WebhookSecretSerializer, **errors(401, 403, 429, 503)},
        tags=["jobs"],
    )
    def post(self, request: Request) -> Response:
        return Response({"secret": signing.renew(user_of(request))})
