"""Generated images: the body of OpenAI's image generation."""

from dataclasses import replace
from functools import partial
from typing import Any

from common.errors import BadInput
from jobs.kinds.base import Kind, Part, kind, text_of
from proxy.meter import ImagesMeter
from proxy.protocols import IMAGES
from proxy.protocols.images import tokens_of
from proxy.request import Request, parse
from usage.catalog import Catalog


@kind("image", limit="JOB_COMPLETION_SECONDS")
class Image(Kind):
    """``input`` is ``{"model", "prompt", "n", "size", "quality", …}``. The result is the provider's
    answer, the images in base64: nearly always large, so at the job's ``result_url``."""

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        if not isinstance(given, dict):
            raise BadInput("must be an object, the request's body.")
        text = text_of(given)
        return [Part(text, self.request(text, catalog))]

    def request(self, text: str, catalog: Catalog) -> Request:
        request = parse(IMAGES, text.encode(), catalog)
        most = tokens_of(request.body, request.model.name)
        request.protocol = replace(IMAGES, meter=partial(ImagesMeter, each=most))
        # Its text tells nothing of its tokens, so nothing is learned of it.
        request.has_media = True
        request.worst = replace(request.worst, output_tokens=most, exact=True)
        return request
