"""What every run imports, so that a process forked from one that has imported this starts at once."""

import torch._dynamo  # noqa: F401
