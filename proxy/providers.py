"""The providers this deployment has keys for: a table of the server's, never of the request's."""

from django.conf import settings

from proxy.upstream import Provider


def configured() -> dict[str, Provider]:
    """Providers by name, from the environment."""
    found = {}
    if settings.OPENAI_API_KEY:
        found["openai"] = Provider(
            name="openai",
            base_url=settings.OPENAI_BASE_URL,
            headers={
                "authorization": f"Bearer {settings.OPENAI_API_KEY}",
                "content-type": "application/json",
            },
        )
    if settings.ANTHROPIC_API_KEY:
        found["anthropic"] = Provider(
            name="anthropic",
            base_url=settings.ANTHROPIC_BASE_URL,
            headers={
                "x-api-key": settings.ANTHROPIC_API_KEY,
                "content-type": "application/json",
                "anthropic-version": "2023-06-01",
            },
            passed_on=(b"anthropic-version", b"anthropic-beta"),
        )
    return found
