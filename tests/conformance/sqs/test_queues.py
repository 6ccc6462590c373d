"""CreateQueue, GetQueueUrl, ListQueues, DeleteQueue."""

import re

import pytest
from clients import ACCOUNT, sqs_client
from conftest import NO_WAITS, Queue, queue_factory, refused, unique

BAD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


def test_create_gives_a_url_of_this_server(server, sqs):
    name = unique()
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert url == f"{server.url}/{ACCOUNT}/{name}"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"] == url


def test_create_again_with_the_same_attributes_is_idempotent(new_queue):
    first = new_queue(VisibilityTimeout="69", ReceiveMessageWaitTimeSeconds="1")
    assert new_queue(first.name).url == first.url
    assert new_queue(first.name, VisibilityTimeout="69").url == first.url
    first.send()
    first.send(DelaySeconds=1)
    assert new_queue(first.name).url == first.url, "messages in the queue do not matter"


def test_create_again_with_another_value_names_the_attribute(new_queue):
    queue = new_queue(DelaySeconds="1", ReceiveMessageWaitTimeSeconds="1")
    text = "A queue already exists with the same name and a different value for attribute DelaySeconds"
    with refused("QueueAlreadyExists", text):
        new_queue(queue.name, DelaySeconds="2", ReceiveMessageWaitTimeSeconds="1")
    queue.set(DelaySeconds="2")
    assert new_queue(queue.name, DelaySeconds="2").url == queue.url
    with refused("QueueAlreadyExists", text):
        new_queue(queue.name, DelaySeconds="1")


def test_create_fifo_again_with_other_deduplication(new_queue):
    queue = new_queue(fifo=True, ContentBasedDeduplication="true")
    assert new_queue(queue.name, fifo=True, ContentBasedDeduplication="true").url == queue.url
    text = (
        "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication"
    )
    with refused("QueueAlreadyExists", text):
        new_queue(queue.name, fifo=True, ContentBasedDeduplication="false")


@pytest.mark.parametrize("name", ["with space", "a/b", "dot.dot", "ü", "x" * 81, "x!"])
def test_bad_names(sqs, name):
    with refused("InvalidParameterValue", BAD_NAME):
        sqs.create_queue(QueueName=name)


def test_longest_name(sqs):
    name = unique("n" * 60)[:80].ljust(80, "n")
    assert sqs.create_queue(QueueName=name)["QueueUrl"].endswith("/" + name)


def test_a_fifo_queue_needs_the_suffix(new_queue):
    with refused("InvalidParameterValue", re.compile(r"must end with \.fifo suffix")):
        new_queue(unique(), FifoQueue="true")


def test_the_suffix_needs_a_fifo_queue(sqs):
    with refused("InvalidParameterValue", re.compile("Can only include alphanumeric characters|fifo", re.I)):
        sqs.create_queue(QueueName=unique() + ".fifo")


def test_fifo_true_in_any_case(new_queue):
    queue = new_queue(fifo=True, FifoQueue="True", ContentBasedDeduplication="True")
    assert queue.attributes("FifoQueue", "ContentBasedDeduplication") == {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
    }


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ({"FifoQueue": "false"}, "Unknown Attribute FifoQueue."),
        ({"ContentBasedDeduplication": "false"}, "Unknown Attribute ContentBasedDeduplication."),
        (
            {"DeduplicationScope": "queue"},
            "You can specify the DeduplicationScope only when FifoQueue is set to true.",
        ),
        (
            {"FifoThroughputLimit": "perQueue"},
            "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
        ),
        ({"NoSuchThing": "1"}, "Unknown Attribute NoSuchThing."),
    ],
)
def test_attributes_that_a_standard_queue_does_not_have(new_queue, attribute, text):
    with refused("InvalidAttributeName", text):
        new_queue(**attribute)


def test_a_missing_queue(sqs, server):
    missing = f"{server.url}/{ACCOUNT}/{unique('missing')}"
    text = re.compile(r"^The specified queue does not exist( for this wsdl version)?\.$")
    with refused(NO_QUEUE, text):
        sqs.get_queue_url(QueueName=unique("missing"))
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=unique("missing"))
    calls = {
        "delete_queue": {},
        "purge_queue": {},
        "get_queue_attributes": {"AttributeNames": ["All"]},
        "set_queue_attributes": {"Attributes": {"DelaySeconds": "1"}},
        "send_message": {"MessageBody": "x"},
        "send_message_batch": {"Entries": [{"Id": "a", "MessageBody": "x"}]},
        "receive_message": {},
        "delete_message": {"ReceiptHandle": "x"},
        "change_message_visibility": {"ReceiptHandle": "x", "VisibilityTimeout": 1},
        "tag_queue": {"Tags": {"a": "b"}},
        "untag_queue": {"TagKeys": ["a"]},
        "list_queue_tags": {},
        "list_dead_letter_source_queues": {},
        "add_permission": {"Label": "a", "AWSAccountIds": [ACCOUNT], "Actions": ["SendMessage"]},
        "remove_permission": {"Label": "a"},
    }
    for call, more in calls.items():
        with refused(NO_QUEUE, text):
            getattr(sqs, call)(QueueUrl=missing, **more)


def test_delete_takes_the_queue_and_its_messages(queue, sqs, new_queue):
    queue.send()
    sqs.delete_queue(QueueUrl=queue.url)
    with refused(NO_QUEUE):
        queue.receive()
    with refused(NO_QUEUE):
        sqs.get_queue_url(QueueName=queue.name)
    assert new_queue(queue.name).receive() == []


@pytest.mark.parametrize("fifo", [False, True])
def test_create_right_after_delete_when_the_wait_is_on(own_server, fifo):
    server = own_server(env={**NO_WAITS, "KYU_SQS_NAME_REUSE_WAIT_S": "60"})
    sqs = sqs_client(server.url)
    queue = queue_factory(sqs)(fifo=fifo)
    sqs.delete_queue(QueueUrl=queue.url)
    text = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    with refused("AWS.SimpleQueueService.QueueDeletedRecently", text):
        queue_factory(sqs)(queue.name, fifo=fifo)


def test_list_by_prefix(sqs, new_queue):
    prefix = unique("list")
    names = [f"{prefix}-{i}" for i in range(3)]
    urls = [new_queue(name).url for name in names]
    other = new_queue().url
    assert sorted(sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"]) == urls
    everything = sqs.list_queues()["QueueUrls"]
    assert set(urls) | {other} <= set(everything)
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=unique("nothing"))


def test_list_in_pages(sqs, new_queue):
    prefix = unique("page")
    urls = [new_queue(f"{prefix}-{i}").url for i in range(10)]
    first = sqs.list_queues(QueueNamePrefix=prefix, MaxResults=2)
    assert len(first["QueueUrls"]) == 2
    rest = sqs.list_queues(QueueNamePrefix=prefix, MaxResults=10, NextToken=first["NextToken"])
    assert "NextToken" not in rest
    assert sorted(first["QueueUrls"] + rest["QueueUrls"]) == urls
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 3})
    assert sorted(url for page in pages for url in page["QueueUrls"]) == urls


def test_list_without_max_results_has_no_token(sqs, new_queue):
    prefix = unique("token")
    for i in range(3):
        new_queue(f"{prefix}-{i}")
    assert "NextToken" not in sqs.list_queues(QueueNamePrefix=prefix)


@pytest.mark.parametrize("max_results", [0, 1001, -1])
def test_list_max_results_out_of_range(sqs, max_results):
    with refused("InvalidParameterValue", re.compile(f"{max_results}.*MaxResults|MaxResults.*1000")):
        sqs.list_queues(MaxResults=max_results)


def test_list_with_a_token_of_ones_own_making(sqs):
    with refused("InvalidParameterValue", re.compile("NextToken")):
        sqs.list_queues(MaxResults=1, NextToken="no such token")


def test_another_account_has_no_queues(sqs, queue):
    with refused(NO_QUEUE):
        sqs.get_queue_url(QueueName=queue.name, QueueOwnerAWSAccountId="123456789012")
    foreign = Queue(sqs, queue.url.replace(ACCOUNT, "123456789012"))
    with refused(NO_QUEUE):
        foreign.receive()
