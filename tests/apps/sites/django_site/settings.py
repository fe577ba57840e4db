"""The least that a Django project with sessions, CSRF protection and templates needs."""

from __future__ import annotations

import os
from pathlib import Path

SITES = Path(__file__).parents[1]

SECRET_KEY = "not a secret"
DEBUG = False
ALLOWED_HOSTS = ["site.test", "localhost", "127.0.0.1"]
ROOT_URLCONF = "django_site.urls"
INSTALLED_APPS = ["django.contrib.sessions"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
USE_TZ = True
FILE_UPLOAD_TEMP_DIR = os.environ["SITE_DIR"]

MIDDLEWARE = [
    "django_site.middleware.site_field",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [SITES / "templates", SITES / "django_site" / "templates"],
    }
]

# Without DEBUG, Django writes tracebacks nowhere unless it is told to.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR"}},
}
