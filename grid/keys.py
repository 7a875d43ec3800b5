"""Keys: a hash of everything that changes a result, and of nothing else."""

import hashlib
import json

# Raise it when the same inputs give another result: every key changes, and nothing old is taken for new.
FORMAT_VERSION = 2

# json.dumps would build one for each key.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def key_of(parts: dict[str, object]) -> str:
    """20 hex digits (80 bits) of SHA-256 over the canonical JSON of `parts` and the format's version."""
    text = canonical({"format": FORMAT_VERSION, **parts})
    return hashlib.sha256(text.encode()).hexdigest()[:20]
