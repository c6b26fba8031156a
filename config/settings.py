"""Django's settings. Everything that differs between deployments comes from the environment."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from config import env, jobs, payments, people
from config.look import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from config.look import UNFOLD as UNFOLD
from config.observability import values

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY: is not set; use 50 random characters and keep them")
SECRET_KEY_FALLBACKS = env.names("SECRET_KEY_FALLBACKS")
if not DEBUG and len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY: must have at least 50 characters when DEBUG is off")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]") if DEBUG else ())
if not DEBUG and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS: is not set; name the hosts this deployment answers")

SITE_NAME = env.text("SITE_NAME", "Farebox")

INSTALLED_APPS = [
    # Only runserver has a use for it, and twisted takes every process half a second to import.
    *(["daphne"] if "runserver" in sys.argv else []),
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    *people.AUTH_APPS,
    "channels",
    "djstripe",
    "common",
    "accounts",
    "ledger",
    "billing",
    "usage",
    "proxy",
    "jobs",
]

MIDDLEWARE = [
    "common.middleware.RequestId",
    "common.middleware.Health",
    "config.observability.metrics.Metrics",
    "django.middleware.security.SecurityMiddleware",
    "accounts.csp.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.LastSeen",
    "accounts.staff.StaffDoor",
    "accounts.limits.SignInsNeedValkey",
    "accounts.readable.ReadableBodies",
    "accounts.tries.CountedTries",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["common.templatetags.site"],
        },
    }
]

# --- PostgreSQL -------------------------------------------------------------------------------
# lock_timeout bounds every wait for a row (design, section 2); a caller sees 503 and tries again.
DATABASE = env.database("DATABASE_URL")
DATABASE_URL = env.text("DATABASE_URL")
DATABASE_OPTIONS = "-c lock_timeout=2000 -c timezone=UTC"
DATABASES = {
    "default": DATABASE
    | {
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": DATABASE["OPTIONS"]
        | {
            "options": f"{DATABASE['OPTIONS'].get('options', '')} {DATABASE_OPTIONS}".strip(),
            "pool": {
                "min_size": 0,
                "max_size": env.whole("DATABASE_POOL_SIZE", 10, least=1),
                "timeout": 5,  # seconds; while the database is away a caller soon sees 503
                "reconnect_timeout": 2,  # seconds; see proxy.context
            },
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.redis("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "common.cache.Cache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            # Seconds: a request must not hang with Valkey.
            "socket_connect_timeout": 2,
            "socket_timeout": 2,
        },
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_connect_timeout": 2,
                    "socket_keepalive": True,
                    "health_check_interval": 15,
                    # Else, after an outage, up to ten seconds pass between two attempts.
                    "retry": Retry(ConstantBackoff(0.5), 2),
                }
            ],
            "prefix": "farebox",
        },
    }
}
# How often each user with an open socket is looked at without any hint, seconds.
SOCKET_REFRESH_SECONDS = env.whole("SOCKET_REFRESH_SECONDS", 15, least=1, most=300)

# --- People -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/dashboard/"
SESSION_COOKIE_AGE = env.whole("SESSION_SECONDS", 2_592_000, least=3600)
REFRESH_TOKEN_SECONDS = env.whole("REFRESH_TOKEN_SECONDS", 5_184_000, least=3600)
EXTENSION_IDS: list[str] = people.extension_ids()
globals().update(
    people.settings(
        debug=DEBUG,
        https=env.flag("HTTPS", not DEBUG),
        extensions=EXTENSION_IDS,
        refresh_seconds=REFRESH_TOKEN_SECONDS,
    )
)
# Those of the above that our own code reads.
ALLAUTH_TRUSTED_PROXY_COUNT: int
SOCIALACCOUNT_PROVIDERS: dict[str, Any]
API_RATE_USER: str
API_RATE_ADDRESS: str
BUY_RATE_USER: str
SERVICE_RATE_KEY: str
PROXY_RATE_ADDRESS: str
PROXY_RATE_COUNT_TOKENS: str
FREE_ALLOWANCES_PER_RANGE: int
BLOCK_DISPOSABLE_EMAIL: bool
BLOCKED_EMAIL_DOMAINS: frozenset[str]
UNBLOCKED_EMAIL_DOMAINS: frozenset[str]
STAFF_MFA_REQUIRED: bool
STAFF_SESSION_SECONDS: int

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]

# Where bin/dev keeps its state: the embedded servers' data, and the demo user's key.
FAREBOX_HOME = Path(env.text("FAREBOX_HOME", str(BASE_DIR / ".farebox")))

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "build" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Large results of jobs. Web and worker processes of several machines need one that all see.
    "jobs": jobs.storage(str(FAREBOX_HOME / "files")),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- Safety -----------------------------------------------------------------------------------
# HTTPS is ended by a proxy in front; on loopback (bin/dev with DEBUG=false) there is none.
HTTPS = env.flag("HTTPS", not DEBUG)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.whole("HSTS_SECONDS", 31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Money ------------------------------------------------------------------------------------
CREDIT_NAME = env.text("CREDIT_NAME", "credits")
CREDIT_PRICE_USD = env.decimal("CREDIT_PRICE_USD", "0.10", most="1000")
PRICE_MARKUP = env.decimal("PRICE_MARKUP", "1", most="1000")
globals().update(payments.settings(debug=DEBUG))
# Those of the above that our own code reads.
STRIPE_SECRET_KEY: str
STRIPE_LIVE_MODE: bool
STRIPE_API_VERSION: str
STRIPE_SECONDS: int
STRIPE_AUTOMATIC_TAX: bool
STRIPE_PROMOTION_CODES: bool
ENABLE_PAYMENTS: bool
ALLOW_DEMO: bool
CURRENCY: str
CREDITS_LEAST: int
CREDITS_MOST: int
PAST_DUE_GRACE_DAYS: int
LOW_BALANCE_CREDITS: int

# --- The proxy --------------------------------------------------------------------------------
PUBLIC_URL = env.url("PUBLIC_URL", f"http://127.0.0.1:{env.whole('PORT', 8000, most=65535)}")
OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", "https://api.openai.com/v1")
ANTHROPIC_API_KEY = env.text("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env.url("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
PROVIDER_API_KEYS = env.provider_keys()
PROXY_POOL_SIZE = env.whole("PROXY_POOL_SIZE", 16, least=1, most=500)
MAX_REQUEST_BYTES = env.whole("MAX_REQUEST_BYTES", 20 * 1024 * 1024, least=1024)
MAX_WAITING_BYTES = env.whole("MAX_WAITING_BYTES", 256 * 1024 * 1024, least=MAX_REQUEST_BYTES)
MAX_JSON_DEPTH = env.whole("MAX_JSON_DEPTH", 64, least=4, most=200)
MAX_CHOICES = env.whole("MAX_CHOICES", 8, least=1, most=128)
MAX_MEDIA_PARTS = env.whole("MAX_MEDIA_PARTS", 100, least=0)
DEFAULT_MAX_OUTPUT_TOKENS = env.whole("DEFAULT_MAX_OUTPUT_TOKENS", 16_384, least=1)
MIN_OUTPUT_TOKENS = env.whole("MIN_OUTPUT_TOKENS", 16, least=1)
MAX_EVENT_BYTES = env.whole("MAX_EVENT_BYTES", 1024 * 1024, least=1024)
MAX_ANSWER_BYTES = env.whole("MAX_ANSWER_BYTES", 64 * 1024 * 1024, least=1024)
HOLD_LEASE_SECONDS = env.whole("HOLD_LEASE_SECONDS", 30, least=5, most=3600)
CHECKPOINT_SECONDS = env.whole("CHECKPOINT_SECONDS", 2, least=1, most=60)
UPSTREAM_CONNECT_SECONDS = env.whole("UPSTREAM_CONNECT_SECONDS", 10, least=1)
UPSTREAM_FIRST_EVENT_SECONDS = env.whole("UPSTREAM_FIRST_EVENT_SECONDS", 120, least=1)
UPSTREAM_IDLE_SECONDS = env.whole("UPSTREAM_IDLE_SECONDS", 60, least=1)
UPSTREAM_PLAIN_SECONDS = env.whole("UPSTREAM_PLAIN_SECONDS", 600, least=1)
UPSTREAM_TOTAL_SECONDS = env.whole("UPSTREAM_TOTAL_SECONDS", 1800, least=1)
UPSTREAM_DRAIN_SECONDS = env.whole("UPSTREAM_DRAIN_SECONDS", 60, least=1)
UPSTREAM_ATTEMPTS = env.whole("UPSTREAM_ATTEMPTS", 3, least=1, most=20)
CLIENT_HEAD_SECONDS = env.whole("CLIENT_HEAD_SECONDS", 20, least=1)
CLIENT_BODY_SECONDS = env.whole("CLIENT_BODY_SECONDS", 30, least=1)
CLIENT_STALL_SECONDS = env.whole("CLIENT_STALL_SECONDS", 30, least=1)
SHUTDOWN_DELAY_SECONDS = env.whole("SHUTDOWN_DELAY_SECONDS", 0, most=300)
SHUTDOWN_SECONDS = env.whole("SHUTDOWN_SECONDS", 20, most=3600)

# --- Jobs -------------------------------------------------------------------------------------
globals().update(jobs.settings())
# Those of the above that our own code reads.
JOB_LEASE_SECONDS: int
JOB_ATTEMPTS: int
JOB_RETRY_SECONDS: int
JOB_COMPLETION_SECONDS: int
JOB_BATCH_SECONDS: int
JOB_BATCH_MOST: int
JOB_BATCH_AT_ONCE: int
JOBS_OPEN_MOST: int
JOBS_AT_ONCE: int
JOB_DEADLINE_HOURS: int
JOB_RETENTION_HOURS: int
JOB_INLINE_BYTES: int
JOB_AUDIO_BYTES: int
JOB_WEBHOOK_NETWORKS: list[Any]

# --- HTTP API ---------------------------------------------------------------------------------
REST_FRAMEWORK = {
    # The key first: it decides the challenge, so that an unknown caller gets 401 and not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.SignInAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.MayRead"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.drf.Negotiation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.drf.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.limits.CallerThrottle"],
    "EXCEPTION_HANDLER": "accounts.limits.exception_handler",
}

# --- Mail -------------------------------------------------------------------------------------
# Written while a request is served, sent by the worker: see accounts.mail.
EMAIL_BACKEND = "accounts.mail.Queue"
_MAIL = env.mail("EMAIL_URL", "consolemail://" if DEBUG else "")
MAIL_BACKEND: str = _MAIL.pop("MAIL_BACKEND")
globals().update(_MAIL)
_HOST = urlsplit(PUBLIC_URL).hostname or ""
DEFAULT_FROM_EMAIL = env.mailbox(
    "DEFAULT_FROM_EMAIL",
    f"{SITE_NAME} <no-reply@{'localhost' if _HOST.startswith('127.') or ':' in _HOST else _HOST}>",
)

# --- Background work --------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
# A task is acknowledged once it is done. One whose process was killed (for memory, say) is tried
# again three times; unbounded, it could go on killing processes for ever.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A request that queues something must not hang with Valkey: it fails within seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING_CONFIG = "common.logging.configure"
LOGGING = {"level": LOG_LEVEL, "json": env.flag("LOG_JSON", not DEBUG)}

# --- Metrics, errors, traces ------------------------------------------------------------------
globals().update(values.settings(debug=DEBUG))
# Those of the above that our own code reads.
METRICS_TOKEN: str
SENTRY_DSN: str
SENTRY_ENVIRONMENT: str
SENTRY_RELEASE: str
OTEL_EXPORTER_OTLP_ENDPOINT: str
OTEL_SERVICE_NAME: str
