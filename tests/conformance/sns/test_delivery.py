"""From a publish to the queues: envelopes, raw delivery, order, dead letters, restarts."""

import base64
import json

from conftest import Queue, client, refused, subscribe


def test_envelope_and_raw_delivery(sns, sqs, topic, queue):
    raw = Queue(sqs)
    subscription = subscribe(sns, topic, queue)
    subscribe(sns, topic, raw, RawMessageDelivery="true")
    attributes = {
        "n": {"DataType": "Number", "StringValue": "99.12"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"},
    }
    text = 'ö§a1"_!?,. £$-'
    published = sns.publish(TopicArn=topic, Message=text, Subject="subject", MessageAttributes=attributes)
    (envelope,) = queue.envelopes()
    assert envelope["Type"] == "Notification"
    assert envelope["MessageId"] == published["MessageId"]
    assert (envelope["Message"], envelope["Subject"], envelope["TopicArn"]) == (text, "subject", topic)
    assert envelope["UnsubscribeURL"].endswith(f"/?Action=Unsubscribe&SubscriptionArn={subscription}")
    assert envelope["MessageAttributes"] == {
        "n": {"Type": "Number", "Value": "99.12"},
        "b": {"Type": "Binary", "Value": base64.b64encode(b"\x02\x03\x04").decode()},
    }
    (message,) = raw.take()
    assert message["Body"] == text
    assert message["MessageAttributes"]["b"]["BinaryValue"] == b"\x02\x03\x04"


def test_a_hundred_queues(sns, sqs, topic):
    queues = [Queue(sqs) for _ in range(100)]
    for one in queues:
        subscribe(sns, topic, one)
    sns.publish(TopicArn=topic, Message="to all")
    assert all([e["Message"] for e in one.envelopes()] == ["to all"] for one in queues)


def test_a_batch(sns, topic, queue):
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    entries = [{"Id": str(at), "Message": f"m{at}"} for at in range(10)]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == [str(at) for at in range(10)]
    assert answer["Failed"] == []
    assert sorted(queue.bodies()) == [f"m{at}" for at in range(10)]
    refused(
        "BatchEntryIdsNotDistinct", 400, "Two or more batch entries in the request have the same Id.",
        sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=[entries[0], entries[0]],
    )


def test_an_ordered_topic(sns, sqs):
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = sns.create_topic(Name="ordered.fifo", Attributes=attributes)["TopicArn"]
    ordered, standard = Queue(sqs, fifo=True), Queue(sqs)
    subscribe(sns, topic, ordered)
    subscribe(sns, topic, standard)
    numbers = []
    for body in ["Test", "second", "Test"]:
        answer = sns.publish(TopicArn=topic, Message=body, MessageGroupId="g")
        numbers.append(answer["SequenceNumber"])
    assert numbers[0] == numbers[2] < numbers[1]
    first, second = ordered.take()
    sha256 = "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25"
    assert first["Attributes"]["MessageDeduplicationId"] == sha256
    assert [json.loads(m["Body"])["SequenceNumber"] for m in (first, second)] == numbers[:2]
    assert [e["Message"] for e in standard.envelopes()] == ["Test", "second"]
    refused(
        "InvalidParameter", 400, "Invalid parameter: The MessageGroupId parameter is required for FIFO topics",
        sns.publish, TopicArn=topic, Message="x",
    )


def test_a_deleted_queue_has_its_messages_in_the_dead_letter_queue(sns, sqs, topic, queue):
    dead = Queue(sqs)
    subscribe(sns, topic, queue, RedrivePolicy={"deadLetterTargetArn": dead.arn})
    sqs.delete_queue(QueueUrl=queue.url)
    sns.publish(TopicArn=topic, Message="late")
    assert [e["Message"] for e in dead.envelopes()] == ["late"]


def test_topics_and_messages_survive_kill_9(own_server):
    sns, sqs = client("sns", own_server.url), client("sqs", own_server.url)
    topic, queue = sns.create_topic(Name="t")["TopicArn"], Queue(sqs, "q")
    arn = subscribe(sns, topic, queue, FilterPolicy={"k": ["v"]})
    attributes = {"k": {"DataType": "String", "StringValue": "v"}}
    sns.publish(TopicArn=topic, Message="before", MessageAttributes=attributes)
    own_server.kill()
    own_server.start()
    sns, queue.sqs = client("sns", own_server.url), client("sqs", own_server.url)
    assert sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"] == arn
    sns.publish(TopicArn=topic, Message="after", MessageAttributes=attributes)
    sns.publish(TopicArn=topic, Message="filtered")
    assert [e["Message"] for e in queue.envelopes()] == ["before", "after"]
