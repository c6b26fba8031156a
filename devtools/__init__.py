"""The commands of bin/: environment, embedded servers, and the programs they run.

``launch`` and ``bootstrap`` run under the machine's own Python with nothing installed; everything
else runs inside ``.venv``. Nothing here is imported by the applications, nor imports them.
"""
