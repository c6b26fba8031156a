"""The kinds of jobs: what each takes, and what is asked of a provider for it.

base        what a kind is, and the decorator that registers one
noop        nothing, at no cost: to try queue, socket and webhook
completion  one chat completion, message or response
batch       many of those in one job
image       generated images
"""

from jobs.kinds import batch, completion, image, noop
from jobs.kinds.base import KINDS, Kind, Part

__all__ = ["KINDS", "Kind", "Part", "batch", "completion", "image", "noop"]
