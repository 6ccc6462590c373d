"""HTTP and HTTPS endpoints as subscribers: confirmation, delivery, retries, signatures, the end."""

import json
import urllib.error

import pytest
from conftest import Queue, client, refused, unique
from endpoint import CERTIFICATE, Endpoint, get, signature_is_valid


@pytest.fixture()
def endpoint():
    with Endpoint() as one:
        yield one


def attributes(sns, arn):
    return sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]


def retries(number, **more):
    policy = {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": number, **more}
    return {"healthyRetryPolicy": policy}


def redrive(queue):
    return {"deadLetterTargetArn": queue.arn}


def test_an_endpoint_confirms_by_the_link_and_receives(sns, topic, endpoint):
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    assert answer["SubscriptionArn"] == "pending confirmation"
    asked = endpoint.next()
    assert asked.path == "/hook"
    assert asked.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert asked.headers["x-amz-sns-topic-arn"] == topic
    assert asked.headers["x-amz-sns-message-id"] == asked.json["MessageId"]
    assert asked.headers["content-type"] == "text/plain; charset=UTF-8"
    assert asked.headers["user-agent"] == "Amazon Simple Notification Service Agent"
    message = asked.json
    host = message["SubscribeURL"].rsplit("/", maxsplit=1)[0]
    assert message["SubscribeURL"] == f"{host}/?Action=ConfirmSubscription&TopicArn={topic}&Token={message['Token']}"
    assert message["Message"].startswith(f"You have chosen to subscribe to the topic {topic}.\n")
    assert signature_is_valid(message)
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [one["SubscriptionArn"] for one in listed] == ["PendingConfirmation"]
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"

    # AWS takes any topic of the region here (recorded); a token should not be worth more than its own topic.
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(message["SubscribeURL"].replace(topic, topic + "x"))
    assert caught.value.code == 400
    confirmed = get(message["SubscribeURL"])
    arn = confirmed.split("<SubscriptionArn>")[1].split("<")[0]
    assert "ConfirmSubscriptionResponse" in confirmed
    assert arn in get(message["SubscribeURL"]), "confirming again changes nothing"
    found = attributes(sns, arn)
    assert (found["PendingConfirmation"], found["ConfirmationWasAuthenticated"]) == ("false", "false")
    policy = json.loads(found["EffectiveDeliveryPolicy"])
    assert policy["healthyRetryPolicy"]["numRetries"] == 3
    assert policy["healthyRetryPolicy"]["minDelayTarget"] == 20

    published = sns.publish(
        TopicArn=topic,
        Message="hello",
        Subject="s",
        MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}},
    )
    posted = endpoint.next()
    assert posted.headers["x-amz-sns-message-type"] == "Notification"
    assert posted.headers["x-amz-sns-subscription-arn"] == arn
    notification = posted.json
    assert notification["MessageId"] == published["MessageId"]
    assert (notification["Message"], notification["Subject"]) == ("hello", "s")
    assert notification["MessageAttributes"] == {"n": {"Type": "Number", "Value": "1"}}
    assert signature_is_valid(notification)
    notification["Message"] = "hallo"
    assert not signature_is_valid(notification)


def test_the_end_of_a_subscription_is_told(sns, topic, endpoint):
    arn = endpoint.subscribe(sns, topic)
    sns.publish(TopicArn=topic, Message="m")
    link = endpoint.next().json["UnsubscribeURL"]
    assert link.endswith(f"/?Action=Unsubscribe&SubscriptionArn={arn}")
    assert "UnsubscribeResponse" in get(link)
    told = endpoint.next()
    assert told.headers["x-amz-sns-message-type"] == "UnsubscribeConfirmation"
    assert told.headers["x-amz-sns-subscription-arn"] == arn
    assert told.json["Message"].startswith(f"You have chosen to deactivate subscription {arn}.\n")
    assert signature_is_valid(told.json)
    refused("NotFound", 404, "Subscription does not exist", sns.get_subscription_attributes, SubscriptionArn=arn)


def test_a_guarded_subscription_ends_only_by_who_may_call(sns, topic, endpoint):
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    token = endpoint.next().json["Token"]
    arn = sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")["SubscriptionArn"]
    assert attributes(sns, arn)["ConfirmationWasAuthenticated"] == "true"
    sns.publish(TopicArn=topic, Message="m")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(endpoint.next().json["UnsubscribeURL"])
    assert caught.value.code == 403
    sns.unsubscribe(SubscriptionArn=arn)
    assert endpoint.next().json["Type"] == "UnsubscribeConfirmation"


def test_what_cannot_be_confirmed(sns, topic):
    for topic_arn, token, text in [
        (topic.replace("us-east-1", "eu-central-1"), "00", "Invalid parameter: Topic"),
        ("not-an-arn", "00", "Invalid parameter: Topic"),
        (topic, "abc123", "Invalid parameter: Token"),
        (topic, "x-y", "Invalid token"),
    ]:
        refused("InvalidParameter", 400, text, sns.confirm_subscription, TopicArn=topic_arn, Token=token)


@pytest.mark.parametrize("version", ["1", "2"])
def test_signature_versions(sns, sqs, queue, endpoint, version):
    """A topic that was given a version has its messages signed for queues, too."""
    topic = sns.create_topic(Name=unique("t"), Attributes={"SignatureVersion": version})["TopicArn"]
    endpoint.subscribe(sns, topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=topic, Message="mé\n", Subject="s")
    for message in [endpoint.next().json, *queue.envelopes()]:
        assert message["SignatureVersion"] == version
        assert signature_is_valid(message), message


def test_raw_delivery_and_content_type(sns, topic, endpoint):
    arn = endpoint.subscribe(sns, topic, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="plain")
    posted = endpoint.next()
    assert posted.body == "plain"
    assert posted.headers["x-amz-sns-rawdelivery"] == "true"
    assert posted.headers["content-type"] == "text/plain; charset=UTF-8"
    policy = {"http": {"defaultRequestPolicy": {"headerContentType": "application/json"}}}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DeliveryPolicy", AttributeValue=json.dumps(policy))
    sns.publish(TopicArn=topic, Message="{}")
    assert endpoint.next().headers["content-type"] == "application/json"
    own = json.dumps({"requestPolicy": {"headerContentType": "text/csv"}})
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="DeliveryPolicy", AttributeValue=own)
    sns.publish(TopicArn=topic, Message="a,b")
    assert endpoint.next().headers["content-type"] == "text/csv"
    effective = json.loads(attributes(sns, arn)["EffectiveDeliveryPolicy"])
    assert effective["requestPolicy"] == {"headerContentType": "text/csv"}


def test_each_protocol_has_its_text(sns, topic, queue, endpoint):
    endpoint.subscribe(sns, topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    texts = {"default": "d", "http": "h", "sqs": "s"}
    sns.publish(TopicArn=topic, Message=json.dumps(texts), MessageStructure="json")
    assert endpoint.next().json["Message"] == "h"
    assert [one["Message"] for one in queue.envelopes()] == ["s"]


def test_a_message_is_tried_again_until_it_is_taken(sns, topic, endpoint):
    endpoint.subscribe(sns, topic, DeliveryPolicy=retries(3, numNoDelayRetries=2))
    endpoint.next_statuses = [500, 429, 503, 200]
    sent = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    bodies = {endpoint.next().body for _ in range(4)}
    assert len(bodies) == 1, "the same message, to the byte"
    assert json.loads(bodies.pop())["MessageId"] == sent
    # The next message is the next one.
    sns.publish(TopicArn=topic, Message="after")
    assert endpoint.next().json["Message"] == "after"


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (429, 3), (404, 1), (302, 1)])
def test_what_is_not_taken_goes_to_the_dead_letter_queue(sns, sqs, topic, endpoint, status, tries):
    dead = Queue(sqs)
    policy = retries(2, numNoDelayRetries=2)
    endpoint.subscribe(sns, topic, DeliveryPolicy=policy, RedrivePolicy=redrive(dead))
    endpoint.status = status
    sent = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    posted = [endpoint.next() for _ in range(tries)]
    # After the last answer the message moves; nothing tells a client when.
    message = sqs.receive_message(QueueUrl=dead.url, WaitTimeSeconds=20, MessageAttributeNames=["All"])["Messages"][0]
    assert message["Body"] == posted[-1].body
    assert json.loads(message["Body"])["MessageId"] == sent
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == str(status)
    assert endpoint.posts.empty()


def test_an_endpoint_that_is_not_there(sns, sqs, topic):
    dead = Queue(sqs)
    with Endpoint() as gone:
        gone.subscribe(sns, topic, DeliveryPolicy=retries(0), RedrivePolicy=redrive(dead), RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="m")
    received = sqs.receive_message(QueueUrl=dead.url, WaitTimeSeconds=20)["Messages"]
    assert [one["Body"] for one in received] == ["m"]


def test_a_slow_endpoint_delays_nobody(sns, topic, queue):
    with Endpoint() as slow, Endpoint() as quick:
        slow.subscribe(sns, topic)
        quick.subscribe(sns, topic)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
        slow.open.clear()
        for number in range(5):
            sns.publish(TopicArn=topic, Message=str(number))
            assert quick.next().json["Message"] == str(number)
        assert [one["Message"] for one in queue.envelopes()] == ["0", "1", "2", "3", "4"]
        # It is not asked one by one, either.
        assert sorted(slow.next().json["Message"] for _ in range(5)) == ["0", "1", "2", "3", "4"]
        slow.open.set()


@pytest.mark.parametrize("end", ["restart", "crash"])
def test_retries_go_on_after_a_restart(own_server, endpoint, end):
    sns = client("sns", own_server.url)
    topic = sns.create_topic(Name="t")["TopicArn"]
    arn = endpoint.subscribe(sns, topic, DeliveryPolicy=retries(50))
    endpoint.status = 500
    sent = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    endpoint.next()
    endpoint.next()
    getattr(own_server, end)()
    endpoint.status = 200
    again = endpoint.next()
    assert again.json["MessageId"] == sent
    assert signature_is_valid(again.json), "with the same key"
    assert attributes(client("sns", own_server.url), arn)["PendingConfirmation"] == "false"


def test_a_publish_that_was_answered_survives_a_crash(own_server, endpoint):
    sns = client("sns", own_server.url)
    topic = sns.create_topic(Name="t")["TopicArn"]
    endpoint.subscribe(sns, topic, DeliveryPolicy=retries(50))
    endpoint.status = 503
    sent = {sns.publish(TopicArn=topic, Message=str(n))["MessageId"] for n in range(20)}
    own_server.crash()
    endpoint.status = 200
    arrived = set()
    while arrived != sent:
        arrived.add(endpoint.next().json["MessageId"])


def test_https(own_server):
    """The server trusts whom its machine trusts, and the certificates that SSL_CERT_FILE names."""
    with Endpoint(tls=True) as endpoint:
        own_server.env["SSL_CERT_FILE"] = str(CERTIFICATE)
        own_server.restart()
        sns = client("sns", own_server.url)
        topic = sns.create_topic(Name="t")["TopicArn"]
        endpoint.subscribe(sns, topic)
        sns.publish(TopicArn=topic, Message="m")
        assert endpoint.next().json["Message"] == "m"


def test_what_cannot_be_subscribed(sns, topic):
    def subscribe(protocol, endpoint, **attributes):
        return sns.subscribe, {"Protocol": protocol, "Endpoint": endpoint, "Attributes": attributes}

    match = "Invalid parameter: Endpoint must match the specified protocol"
    policy = "Invalid parameter: Attributes Reason: DeliveryPolicy: .*"
    for (call, parameters), text in [
        (subscribe("http", "https://x"), match),
        (subscribe("https", "http://x"), match),
        (subscribe("http", "x"), match),
        (subscribe("http", "http://x", DeliveryPolicy='{"healthyRetryPolicy":{"numRetries":101}}'), policy),
        (subscribe("http", "http://x", DeliveryPolicy="[]"), policy),
        (subscribe("lambda", "a@b"), "Invalid parameter: Amazon SNS does not support this protocol string: lambda"),
    ]:
        refused("InvalidParameter", 400, text, call, TopicArn=topic, **parameters)


def test_delivery_policies_read_back(sns, topic):
    def effective():
        return json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["EffectiveDeliveryPolicy"])["http"]

    assert effective()["defaultHealthyRetryPolicy"]["numRetries"] == 3
    policy = {"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": 5, "maxDelayTarget": 6, "numRetries": 1}}}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DeliveryPolicy", AttributeValue=json.dumps(policy))
    assert effective()["defaultHealthyRetryPolicy"] == {
        "minDelayTarget": 5,
        "maxDelayTarget": 6,
        "numRetries": 1,
        "numMaxDelayRetries": 0,
        "numNoDelayRetries": 0,
        "numMinDelayRetries": 0,
        "backoffFunction": "linear",
    }
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DeliveryPolicy", AttributeValue="")
    assert effective()["defaultHealthyRetryPolicy"]["numRetries"] == 3
    wrong = json.dumps({"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": 7, "maxDelayTarget": 6}}})
    refused(
        "InvalidParameter",
        400,
        "Invalid parameter: DeliveryPolicy: .*",
        sns.set_topic_attributes,
        TopicArn=topic,
        AttributeName="DeliveryPolicy",
        AttributeValue=wrong,
    )
