"""aws-cli, as it is, in a shell: create, send, receive, extend, delete, page, purge, errors."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from clients import ACCOUNT
from conftest import unique

AWS = pathlib.Path(sys.executable).with_name("aws")
pytestmark = pytest.mark.skipif(not AWS.exists(), reason="aws-cli is in the environment of the current clients")


@pytest.fixture()
def aws(server):
    """Runs `aws sqs ...` and gives its JSON, or (`fails=True`) its standard error."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": server.data,  # No configuration of the machine's user.
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_PAGER": "",
    }

    def run(*arguments, fails=False):
        command = [sys.executable, str(AWS), "--endpoint-url", server.url, "sqs", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) == fails, done.stderr or done.stdout
        return done.stderr if fails else json.loads(done.stdout or "{}")

    return run


def test_a_session(aws, server):
    name = unique("cli")
    url = aws("create-queue", "--queue-name", name, "--attributes", "VisibilityTimeout=5,DelaySeconds=0")["QueueUrl"]
    assert url == f"{server.url}/{ACCOUNT}/{name}"
    assert aws("get-queue-url", "--queue-name", name) == {"QueueUrl": url}
    assert aws("list-queues", "--queue-name-prefix", name)["QueueUrls"] == [url]

    attributes = json.dumps({"a": {"DataType": "Number", "StringValue": "7"}})
    sent = aws("send-message", "--queue-url", url, "--message-body", "hello", "--message-attributes", attributes)
    received = aws(
        "receive-message", "--queue-url", url, "--wait-time-seconds", "5",
        "--attribute-names", "All", "--message-attribute-names", "All",
    )  # fmt: skip
    (message,) = received["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello")
    assert message["MessageAttributes"]["a"] == {"DataType": "Number", "StringValue": "7"}

    handle = ("--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    aws("change-message-visibility", *handle, "--visibility-timeout", "30")
    aws("delete-message", *handle)
    entries = json.dumps([{"Id": str(i), "MessageBody": str(i)} for i in range(3)])
    assert len(aws("send-message-batch", "--queue-url", url, "--entries", entries)["Successful"]) == 3
    counted = aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "ApproximateNumberOfMessages")
    assert counted["Attributes"] == {"ApproximateNumberOfMessages": "3"}
    aws("purge-queue", "--queue-url", url)
    assert aws("receive-message", "--queue-url", url) == {}
    aws("delete-queue", "--queue-url", url)


def test_an_error_as_the_shell_sees_it(aws):
    error = aws("get-queue-url", "--queue-name", "no-such-queue", fails=True)
    assert re.search(
        r"\(AWS\.SimpleQueueService\.NonExistentQueue\) when calling the GetQueueUrl operation: "
        r"The specified queue does not exist\.",
        error,
    ), error


def test_pages(aws):
    prefix = unique("clipage")
    for i in range(3):
        aws("create-queue", "--queue-name", f"{prefix}-{i}")
    first = aws("list-queues", "--queue-name-prefix", prefix, "--page-size", "1", "--max-items", "2")
    assert len(first["QueueUrls"]) == 2
    rest = aws("list-queues", "--queue-name-prefix", prefix, "--starting-token", first["NextToken"])
    assert len(rest["QueueUrls"]) == 1
