"""Fixtures: one server a worker, one queue a test, and the short words the transcripts use."""

import contextlib
import json
import pathlib
import re
import sys
import time
import uuid

import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from clients import speaks_json, sqs_client  # noqa: E402

from kyu_server import Server, shared_server  # noqa: E402

# The suite creates and purges at will; the 60-second waits of AWS have tests of their own.
NO_WAITS = {"KYU_SQS_PURGE_WAIT_S": "0", "KYU_SQS_NAME_REUSE_WAIT_S": "0"}
# The name that a proxy or the system's host file may give to a machine.
NAMED = {"KYU_ALLOWED_HOST": "kyu.example,also.example"}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: needs real time or a large number of messages")
    config.addinivalue_line("markers", "json_protocol: about the JSON protocol or a shape newer than the old botocore")


def pytest_collection_modifyitems(config, items):
    """Under the old botocore, tests of the JSON protocol have no client to run with."""
    if not speaks_json(sqs_client("http://127.0.0.1:1")):
        skip = pytest.mark.skip(reason="the old botocore speaks Query only")
        for item in items:
            if item.get_closest_marker("json_protocol"):
                item.add_marker(skip)
    # The longest first: with several workers the suite then takes as long as its longest test.
    items.sort(key=lambda item: 0 if item.get_closest_marker("slow") else 1)


@pytest.fixture(scope="session")
def server(request):
    """The server that the tests of one worker share."""
    with shared_server(request.session, env={**NO_WAITS, **NAMED}) as shared:
        yield shared


@pytest.fixture()
def own_server():
    """A factory of servers that belong to one test, which may kill, restart or configure them."""
    servers = []

    def start(*args, env=None):
        servers.append(Server(*args, env={**NO_WAITS, **(env or {})}))
        return servers[-1].start()

    yield start
    for one in servers:
        one.close()


@pytest.fixture(scope="session")
def sqs(server):
    return sqs_client(server.url)


@pytest.fixture(scope="session")
def careless(server):
    """boto3 without its own checks of parameters."""
    return sqs_client(server.url, validate=False)


class Queue:
    """A queue and the calls of a transcript; answers come back as boto3 gives them."""

    def __init__(self, sqs, url):
        self.sqs, self.url = sqs, url

    @property
    def name(self):
        return self.url.rsplit("/", 1)[1]

    @property
    def arn(self):
        return self.attribute("QueueArn")

    def send(self, body="hello", **more):
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def send_batch(self, *entries):
        """Entries are bodies, or dicts that may leave Id out."""
        filled = [{"MessageBody": e} if isinstance(e, str) else dict(e) for e in entries]
        for index, entry in enumerate(filled):
            entry.setdefault("Id", str(index))
        return self.sqs.send_message_batch(QueueUrl=self.url, Entries=filled)

    def receive(self, count=1, wait=0, **more):
        """The list of messages, empty when there are none."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=count, WaitTimeSeconds=wait, **more
        )
        assert "Messages" not in answer or answer["Messages"], "an empty answer has no Messages key"
        return answer.get("Messages", [])

    def one(self, wait=5, **more):
        """The one message that must come."""
        messages = self.receive(wait=wait, **more)
        assert len(messages) == 1, f"expected a message, got {messages}"
        return messages[0]

    def bodies(self, count=10, wait=0, **more):
        return [message["Body"] for message in self.receive(count, wait, **more)]

    def drain(self, expected, wait=5, **more):
        """Receives and deletes until `expected` messages came; gives their bodies in order."""
        got = []
        deadline = time.monotonic() + 30
        while len(got) < expected and time.monotonic() < deadline:
            for message in self.receive(10, wait, **more):
                got.append(message["Body"])
                self.delete(message)
        return got

    def delete(self, message):
        handle = message if isinstance(message, str) else message["ReceiptHandle"]
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=handle)

    def change(self, message, seconds):
        handle = message if isinstance(message, str) else message["ReceiptHandle"]
        self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def set(self, **attributes):
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    def attributes(self, *names):
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names) or ["All"])
        return answer.get("Attributes", {})

    def attribute(self, name):
        return self.attributes(name).get(name)

    def counts(self):
        """(visible, in flight, delayed)"""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        found = self.attributes(*names)
        return tuple(int(found[name]) for name in names)


@pytest.fixture()
def new_queue(sqs):
    """A factory of queues with unique names; `fifo=True` for a FIFO queue."""
    return queue_factory(sqs)


def queue_factory(sqs):
    def create(name=None, *, fifo=False, tags=None, **attributes):
        attributes = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
        name = name or f"{unique('q')}{'.fifo' if fifo else ''}"
        if fifo:
            attributes.setdefault("FifoQueue", "true")
        more = {"tags": tags} if tags else {}
        answer = sqs.create_queue(QueueName=name, Attributes=attributes, **more)
        return Queue(sqs, answer["QueueUrl"])

    return create


@pytest.fixture()
def queue(new_queue):
    """A standard queue with default attributes."""
    return new_queue()


@pytest.fixture()
def fifo(new_queue):
    """A FIFO queue with content-based deduplication."""
    return new_queue(fifo=True, ContentBasedDeduplication="true")


def unique(prefix="x"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def refused(code, message=None, *, http=400, json_name=None):
    """The call inside must fail with this error.

    `code` is what clients see as Error.Code in both protocols; `message` is the exact text, or a
    compiled pattern where AWS' exact text is not on record. `json_name` is the JSON protocol's own
    name of the error, which boto3 shows as QueryErrorCode.
    """
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    error = answer["Error"]
    assert error["Code"] == code, error
    if isinstance(message, re.Pattern):
        assert message.search(error["Message"]), error
    elif message is not None:
        assert error["Message"] == message, error
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == http, answer
    if "QueryErrorCode" in error:  # Only the JSON protocol has it.
        assert error["QueryErrorCode"] == (json_name or json_name_of(code)), error


def json_name_of(code):
    """The JSON protocol's name for a Query error code, by AWS' rules and exceptions."""
    special = {
        "AWS.SimpleQueueService.NonExistentQueue": "QueueDoesNotExist",
        "QueueAlreadyExists": "QueueNameExists",
        "InvalidParameterValue": "InvalidParameterValueException",
        "MissingParameter": "MissingRequiredParameterException",
    }
    return special.get(code, code.removeprefix("AWS.SimpleQueueService."))


def eventually(check, seconds=10):
    """Polls until `check()` gives a true value, and gives that value."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {check}"
        time.sleep(0.05)
    return value
