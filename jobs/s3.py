"""Results in a bucket: django-storages, with bounds, and with errors as a folder's are.

Django imports this module when the storage is used for the first time, and only where
``JOB_FILES`` names a bucket: boto3 takes most of a second and 24 MB. Nothing here makes a public
address; who may read a result is decided by our own.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import botocore.exceptions
from botocore.config import Config
from django.core.files.base import ContentFile, File
from storages.backends.s3 import S3Storage

# A request waits so long for a connection and for each part of an answer, seconds, and is made
# so often: whoever keeps or reads a result hears of a storage that hangs in half a minute.
CONNECT_SECONDS = 3
READ_SECONDS = 10
ATTEMPTS = 3
_DENIED = {401, 403}


class Bucket(S3Storage):
    """Files in a bucket. What goes wrong is an ``OSError`` whose message names the setting to look
    at, and no secret: ``FileNotFoundError`` and ``PermissionError`` mean what they say."""

    def __init__(self, *, read_seconds: float = READ_SECONDS, **options: Any) -> None:
        config = Config(
            signature_version="s3v4",
            # With other storages than Amazon's a bucket is seldom a host of its own.
            s3={"addressing_style": "path" if options["endpoint_url"] else "auto"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # Other storages than Amazon's know no checksums beside the signature's.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        )
        own = {"client_config": config, "file_overwrite": True, "default_acl": None}
        super().__init__(**options, **own)
        self._lock = threading.Lock()
        self._resource: Any = None

    @property
    def connection(self) -> Any:
        """One for the process, instead of one for each thread, each with all that boto3 knows of
        S3: what is asked goes through its client, which threads may share."""
        with self._lock:
            if self._resource is None:
                self._resource = self._create_session().resource(
                    "s3",
                    region_name=self.region_name,
                    endpoint_url=self.endpoint_url,
                    config=self.client_config,
                )
            return self._resource

    def close(self) -> None:
        """Close the connections that wait for another request."""
        if self._resource is not None:
            self._resource.meta.client.close()

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        """All of it, by one request: no file is so large that it was not once in memory."""
        with _as_os_errors():
            found = self.bucket.Object(self._normalize_name(name)).get()
            with closing(found["Body"]) as body:
                return ContentFile(body.read(), name)

    def _save(self, name: str, content: Any) -> str:
        """By one request, too: a worker that dies leaves no half of an upload to be paid for."""
        with _as_os_errors():
            self.bucket.Object(self._normalize_name(name)).put(
                Body=content.read(), **self._get_write_parameters(name, content)
            )
        return name

    def delete(self, name: str) -> None:
        with _as_os_errors():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with _as_os_errors():
            return bool(super().exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with _as_os_errors():
            folders, files = super().listdir(path)
        return folders, files

    def size(self, name: str) -> int:
        with _as_os_errors():
            return int(super().size(name))

    def url(self, *_: object, **__: object) -> str:
        raise NotImplementedError("results are read through /api/jobs, by whom they belong to")


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _read(error) from None
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.CredentialRetrievalError,
    ):
        raise PermissionError(
            "The storage can't be asked without a key: set JOB_FILES_KEY_ID and JOB_FILES_SECRET."
        ) from None
    except botocore.exceptions.BotoCoreError as error:
        raise OSError(
            f"The storage of JOB_FILES can't be reached ({type(error).__name__})."
        ) from None


def _read(error: botocore.exceptions.ClientError) -> OSError:
    """What the storage has answered, as an error of a file's."""
    code = str(error.response.get("Error", {}).get("Code", ""))[:60]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        return OSError("The storage has no such bucket as JOB_FILES names.")
    if status == 404:
        return FileNotFoundError("The storage has no such file.")
    if status in _DENIED:
        return PermissionError(
            f"The storage refuses the key ({code}): look at JOB_FILES_KEY_ID, JOB_FILES_SECRET and "
            "what the key may do; it has to list, read, write and delete in the bucket."
        )
    return OSError(f"The storage of JOB_FILES answers {status} ({code}).")
