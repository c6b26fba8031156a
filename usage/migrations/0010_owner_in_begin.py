"""begin answers who calls, so that every line of a call's log can say so.

A process of the version before goes on: it does not look at what it is told there.
"""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("usage", "0009_reasoning_tokens")]
    operations = [install("usage", "begin")]
