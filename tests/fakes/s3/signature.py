"""Whether a request was signed with a key, in Signature Version 4."""

import re
from collections.abc import Mapping
from hashlib import sha256

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_GIVEN = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
NEEDED = {"host", "x-amz-date", "x-amz-content-sha256"}


def fault(
    method: str, url: str, headers: Mapping[str, str], body: bytes, key: str, secret: str
) -> str | None:
    """S3's code for what is wrong with the signature; ``None`` for a good one. Header names are
    in lower case."""
    given = _GIVEN.fullmatch(headers.get("authorization", ""))
    if given is None:
        return "AccessDenied"
    whose, _day, region, names, signature = given.groups()
    if whose != key:
        return "InvalidAccessKeyId"
    signed = names.split(";")
    if not set(signed) >= NEEDED or headers["x-amz-content-sha256"] != sha256(body).hexdigest():
        return "SignatureDoesNotMatch"
    request = AWSRequest(method=method, url=url, headers={name: headers[name] for name in signed})
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(key, secret), "s3", region)
    wanted = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    return None if wanted == signature else "SignatureDoesNotMatch"
