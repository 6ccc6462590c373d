"""The OpenAPI document: valid, complete, and kept to, whatever is sent."""

import random
import urllib.parse

import pytest
from conftest import Api
from openapi_spec_validator import OpenAPIV31SpecValidator

# Any value that JSON can have in the place of any other.
STRANGE = [None, True, 0, -1, 2**63, 2**64, 1.5, 1e308, "", "x", "é\u0000", "a" * 3000, [], [None], {}, {"x": {}}]


def test_the_document_is_valid(api):
    OpenAPIV31SpecValidator(api.document.json).validate()


def test_every_operation_is_named_once_and_tells_what_it_does(api):
    names = [operation["operationId"] for _, _, operation in api.document.operations]
    assert len(names) == len(set(names)) > 40
    assert all(operation["summary"] for _, _, operation in api.document.operations)


def example(document, schema, rng, depth=0):
    """A value that fits a schema, mostly."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return example(document, document.json["components"]["schemas"][name], rng, depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            value = example(document, rng.choice(schema[choice]), rng, depth)
            rest = {k: v for k, v in schema.items() if k != choice}
            more = example(document, rest, rng, depth) if "properties" in rest else None
            return {**more, **value} if isinstance(value, dict) and isinstance(more, dict) else value
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = rng.choice(kind)
    if kind == "object":
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        chosen = [name for name in fields if name in required or (depth < 4 and rng.random() < 0.4)]
        return {name: example(document, fields[name], rng, depth + 1) for name in chosen}
    if kind == "array":
        return [example(document, schema.get("items", {}), rng, depth + 1) for _ in range(rng.randint(0, 2))]
    if kind == "integer":
        return rng.choice([0, 1, schema.get("minimum", 0), schema.get("maximum", 1000), rng.randint(0, 10**6)])
    return {"boolean": rng.random() < 0.5, "string": rng.choice(["x", "q", "aGk=", ""]), "null": None}.get(kind, 1)


def spoil(value, rng):
    """The value with one strange thing somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.7:
        name = rng.choice(sorted(value))
        return {**value, name: spoil(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [spoil(one, rng) if i == at else one for i, one in enumerate(value)]
    return rng.choice(STRANGE)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_sent_the_answer_is_one_that_the_document_promises(own_server, seed):
    api, rng = Api(own_server.url), random.Random(seed)
    for name in ("x", "q"):
        api.put(f"/v1/queues/{name}", {})
        api.put(f"/v1/exchanges/{name}", {})
    statuses = set()
    for method, template, operation in api.document.operations * 4:
        path = template
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                value = rng.choice(["q", "x", "1", "%00", "é", "a" * 600])
                value = value if value == "%00" else urllib.parse.quote(value, safe="")
                path = path.replace("{" + parameter["name"] + "}", value)
        query = {
            parameter["name"]: rng.choice(["q", "1", "-1", "x" * 300, "true", ""])
            for parameter in operation["parameters"]
            if parameter["in"] == "query" and parameter["name"] != "namespace" and rng.random() < 0.3
        }
        path += "?" + urllib.parse.urlencode(query) if query else ""
        schema = api.document.request_schema(operation)
        body = example(api.document, schema, rng) if schema else None
        if body is not None and rng.random() < 0.5:
            body = spoil(body, rng)
        if isinstance(body, dict):
            for wait in ("wait_ms", "receive_wait_ms"):
                body.pop(wait, None)  # nobody sends: it would only wait
        status, media, answer = api.raw(method, path, body)
        assert status < 500, f"{method} {path} {body}: {answer}"
        api.document.check_answer(operation, status, media, answer)
        statuses.add(status)
    # Both well-formed and malformed requests were among them.
    assert {200, 400, 404} <= statuses
