"""The bodies that ``/api/jobs`` takes, and its answers."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from common.openapi import CreditsField
from common.tables import PageQuery
from jobs.kinds import KINDS
from jobs.models import Job

_ID = "0190a6c2-9f6e-7c31-8e0b-5b7c1f2d3e4f"


@extend_schema_field({})
class AnyField(serializers.JSONField):
    """Any JSON."""


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "a completion",
            value={
                "kind": "completion",
                "input": {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": 500,
                },
            },
        )
    ]
)
class NewJobSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(
        max_length=30, help_text=f"one of {', '.join(f'`{name}`' for name in sorted(KINDS))}"
    )
    input = AnyField(
        default=None,
        allow_null=True,
        help_text="a completion's is the body of `/v1/chat/completions`, `/v1/messages` or "
        '`/v1/responses`; a batch\'s is `{"requests": [body, …]}`. A transcription comes with a '
        "file, as a form",
    )
    webhook = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=500,
        help_text="a public https address that is told when the job has ended",
    )


class NewJobFormSerializer(serializers.Serializer[Any]):
    """The same as a form, for kinds that take a file."""

    kind = serializers.CharField(max_length=30, help_text="`transcription`")
    input = serializers.CharField(
        help_text='JSON as text: `{"model", "language", "prompt", "response_format", '
        '"temperature"}`, as OpenAI\'s transcriptions take them'
    )
    webhook = serializers.CharField(required=False, max_length=500)
    file = serializers.FileField(
        help_text="sound: flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav or webm"
    )


class WebhookSecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="for a library of Standard Webhooks to verify with")


class ProblemSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="for a program")
    message = serializers.CharField(help_text="for a person")


class JobSerializer(serializers.ModelSerializer[Job]):
    """A job. ``done`` and ``failed`` are of ``total`` calls; ``progress`` is a percentage."""

    progress = serializers.SerializerMethodField()
    held = CreditsField()
    spent = CreditsField()
    error = ProblemSerializer(allow_null=True, read_only=True)

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id", "kind", "state", "progress", "total", "done", "failed", "held", "spent", "error",
            "created", "started", "finished",
        )  # fmt: skip
        read_only_fields = fields

    def get_progress(self, job: Job) -> int:
        return job.progress


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "a job that is done",
            value={
                "id": _ID,
                "kind": "completion",
                "state": "done",
                "progress": 100,
                "total": 1,
                "done": 1,
                "failed": 0,
                "held": "0.003500",
                "spent": "0.000120",
                "error": None,
                "created": "2026-11-21T10:00:00Z",
                "started": "2026-11-21T10:00:00Z",
                "finished": "2026-11-21T10:00:02Z",
                "result": {"choices": [{"message": {"role": "assistant", "content": "Hi"}}]},
                "result_url": f"/api/jobs/{_ID}/result",
            },
        )
    ]
)
class JobDetailSerializer(JobSerializer):
    """The same with its result, when it has one that is not large; ``result_url`` has any."""

    result = AnyField(allow_null=True, read_only=True, help_text="null when it is large")
    result_url = serializers.CharField(allow_null=True, read_only=True)

    class Meta(JobSerializer.Meta):
        fields = (*JobSerializer.Meta.fields, "result", "result_url")
        read_only_fields = fields


class JobQuery(PageQuery):
    state = serializers.ChoiceField(choices=Job.State.choices, required=False)
    kind = serializers.CharField(max_length=30, required=False)


class JobPageSerializer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = JobSerializer(many=True)
