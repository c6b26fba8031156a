"""Who is signed in, and what ends a sign-in."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_sign_in"),
        ("usersessions", "0001_initial"),
        ("allauth_idp_oidc", "0003_client_allow_uri_wildcards"),
        ("sessions", "0001_initial"),
    ]
    operations = [install("accounts", "access")]
