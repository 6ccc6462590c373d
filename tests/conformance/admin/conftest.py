"""Fixtures of the admin API: a server, and a client that holds every answer to the OpenAPI document."""

import base64
import json
import pathlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jsonschema
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import Server, shared_server  # noqa: E402


class Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body
        self.code = body.get("code")


class Document:
    """The OpenAPI document of a server, and what it says of requests and answers."""

    def __init__(self, json_document):
        self.json = json_document
        self.operations = [
            (method.upper(), path, operation)
            for path, methods in json_document["paths"].items()
            for method, operation in methods.items()
        ]
        patterns = [(re.sub(r"\{\w+\}", "[^/]+", path), method, op) for method, path, op in self.operations]
        # Fixed segments before parameters, as the server has it.
        self.patterns = sorted(patterns, key=lambda row: row[0].count("[^/]+"))

    def find(self, method, path):
        """The operation of a request; None if the document has none."""
        for pattern, its_method, operation in self.patterns:
            if its_method == method and re.fullmatch(pattern, path):
                return operation
        return None

    def validator(self, schema):
        if isinstance(schema, bool):
            return jsonschema.Draft202012Validator(schema)
        # References go out from the root.
        return jsonschema.Draft202012Validator({**schema, "components": self.json["components"]})

    def request_schema(self, operation):
        body = operation.get("requestBody")
        return body and next(iter(body["content"].values()))["schema"]

    def check_answer(self, operation, status, media, body):
        """The answer of an operation must be one that the document promises."""
        responses = operation["responses"]
        described = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        assert described, f"{operation['operationId']} does not promise status {status}"
        if "$ref" in described:
            described = self.json["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
        content = described.get("content")
        if content is None:
            assert body is None, body
            return
        assert media in content, f"{operation['operationId']} answered {media}"
        self.validator(content[media]["schema"]).validate(body)


class Api:
    """Plain urllib. Every success must have had a valid request, and every answer be a promised one."""

    def __init__(self, url, credentials=None):
        self.url, self.credentials = url, credentials
        self.document = None
        self.document = Document(self.get("/v1/openapi.json"))

    def raw(self, method, path, body=None, headers=None):
        """Status, media type, parsed body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        if data is not None and "Content-type" not in request.headers:
            request.add_header("Content-Type", "application/json")
        if self.credentials:
            request.add_header("Authorization", "Basic " + base64.b64encode(self.credentials.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                status, answered, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, answered, text = error.code, error.headers, error.read()
        return status, answered.get("Content-Type"), json.loads(text) if text else None

    def call(self, method, path, body=None, headers=None):
        status, media, answer = self.raw(method, path, body, headers)
        if self.document:
            operation = self.document.find(method, path.split("?")[0])
            assert operation, f"{method} {path} is not in the document"
            self.document.check_answer(operation, status, media, answer)
            schema = self.document.request_schema(operation)
            if status < 300 and body is not None:
                self.document.validator(schema).validate(body)
        if status >= 300:
            raise Problem(status, answer)
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def put(self, path, body=None, headers=None):
        return self.call("PUT", path, body, headers)

    def delete(self, path):
        return self.call("DELETE", path)

    def queue(self, settings=None):
        """The name of a new queue."""
        name = f"q-{uuid.uuid4().hex[:12]}"
        self.put(f"/v1/queues/{name}", settings or {})
        return name

    def send(self, queue, body="hello", **more):
        return self.post(f"/v1/queues/{queue}/messages", {"body": body, **more})

    def receive(self, queue, max_messages=10, **more):
        return self.post(f"/v1/queues/{queue}/receive", {"max_messages": max_messages, **more})["messages"]

    def settle(self, queue, *messages, outcome="ack", **more):
        items = [{"receipt": message["receipt"], "outcome": outcome, **more} for message in messages]
        return [one["status"] for one in self.post(f"/v1/queues/{queue}/settle", {"items": items})["results"]]


@pytest.fixture(scope="session")
def server(request):
    with shared_server(request.session) as shared:
        yield shared


@pytest.fixture()
def own_server():
    """A server that belongs to one test, which may kill or restart it."""
    with Server() as own:
        yield own


@pytest.fixture(scope="session")
def api(server):
    return Api(server.url)
