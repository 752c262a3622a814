"""The OpenAPI document."""

DOCUMENT = {"openapi": "3.1.0", "info": {"title": "Mintmark read API", "version": "1"}, "paths": {}}


def dump() -> bytes:
    """The document as JSON."""
    import orjson

    return orjson.dumps(DOCUMENT)
