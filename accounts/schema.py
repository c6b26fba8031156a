"""How callers present themselves, for the OpenAPI description. Imported when the app is ready."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from accounts.authentication import ApiKeyAuthentication, SignInAuthentication


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Both ways to present a key, for the OpenAPI description."""

    target_class = ApiKeyAuthentication
    name = ["bearerKey", "headerKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Either of the two; one dictionary of both would ask for both at once."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "fb_…",
                "description": "A Farebox API key.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "x-api-key",
                "description": "The same API key, as Anthropic's SDKs send it.",
            },
        ]


class SignInScheme(OpenApiAuthenticationExtension):
    """Both ways in for somebody who is signed in, but for the browser's cookie."""

    target_class = SignInAuthentication
    name = ["accessToken", "sessionToken"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of `/identity/o/api/token`, as extensions get.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-Session-Token",
                "description": "A session's token of the headless sign-in, `/_allauth/app/v1/`.",
            },
        ]
