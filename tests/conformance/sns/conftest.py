"""Fixtures: one server a worker, topics and queues with unique names, and the words of transcripts."""

import json
import pathlib
import re
import sys
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kyu_server import Server, shared_server  # noqa: E402


def client(service, url):
    """A plain boto3 client: no retries, so that every answer the server gives is seen."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=60),
    )


@pytest.fixture(scope="session")
def server(request):
    """The server that the tests of one worker share."""
    with shared_server(request.session) as shared:
        yield shared


@pytest.fixture()
def own_server():
    """A server that belongs to one test, which may kill or restart it."""
    with Server() as own:
        yield own


@pytest.fixture(scope="session")
def sns(server):
    return client("sns", server.url)


@pytest.fixture(scope="session")
def sqs(server):
    return client("sqs", server.url)


class Queue:
    """A queue that is subscribed, and what comes out of it."""

    def __init__(self, sqs, name=None, *, fifo=False):
        name = name or unique("q") + (".fifo" if fifo else "")
        attributes = {"FifoQueue": "true"} if fifo else {}
        self.sqs, self.name = sqs, name
        self.url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = answer["Attributes"]["QueueArn"]

    def take(self, wait=0):
        """Receives and deletes what is there."""
        taken = []
        while batch := self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            for message in batch:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            taken += batch
        return taken

    def bodies(self):
        return [message["Body"] for message in self.take()]

    def envelopes(self):
        return [json.loads(body) for body in self.bodies()]


@pytest.fixture()
def queue(sqs):
    return Queue(sqs)


@pytest.fixture()
def topic(sns):
    return sns.create_topic(Name=unique("t"))["TopicArn"]


def subscribe(sns, topic, queue, **attributes):
    values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    answer = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=values, ReturnSubscriptionArn=True
    )
    return answer["SubscriptionArn"]


def unique(prefix="x"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def refused(code, status, text, call, *args, **kwargs):
    """The call must fail with this code and status, and a text that matches completely."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    answer = caught.value.response
    assert answer["Error"]["Code"] == code, answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
    assert re.fullmatch(text, answer["Error"]["Message"], re.DOTALL), answer["Error"]["Message"]
