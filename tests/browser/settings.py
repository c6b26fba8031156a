"""The deployment's settings, as the processes of the browser's tests have them: only that a
password's hash takes no quarter of a second of CPU at each sign-in."""

from config import settings as deployed
from tests import hashes

globals().update({name: value for name, value in vars(deployed).items() if name.isupper()})

PASSWORD_HASHERS = hashes.QUICK
