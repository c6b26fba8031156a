"""What every page and mail may say of the deployment. Built in: no ``{% load %}`` is needed, and no
request either."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def site_name() -> str:
    """What users know this deployment by."""
    return str(settings.SITE_NAME)


@register.simple_tag
def site_url() -> str:
    """Where it is reached, without a slash at the end."""
    return str(settings.PUBLIC_URL)
