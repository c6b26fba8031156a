"""Telling a job's owner that it has ended, at an address of theirs: signed, in the form of Standard
Webhooks (standardwebhooks.com), with retries over a day.

addresses  which addresses may be asked, decided anew each time and for the very one that is
posting    one request to one such address, within bounds
signing    each user's secret, and what it signs
sending    taking what is due, and what becomes of it
"""
