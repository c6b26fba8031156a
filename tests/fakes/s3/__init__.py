"""A fake of Amazon S3, as far as jobs need it, over real sockets.

It takes path-style PUT, GET, HEAD and DELETE of objects, and lists them; checks signatures of
version 4 by botocore's own signer; and can be told to fail, to be silent, or to break off.

server     the socket, and what each request gets
signature  whether a request was signed with the key
"""

from tests.fakes.s3.server import FakeS3

__all__ = ["FakeS3"]
