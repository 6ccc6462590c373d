"""Phones, mailboxes and apps with boto3's own checks of every answer, STS, regions, and a restart."""

import json
import urllib.request

import boto3
import pytest
from conftest import Queue, client, unique
from endpoint import signature_is_valid


def outbox(url):
    with urllib.request.urlopen(f"{url}/_sns/outbox", timeout=10) as answer:
        return json.loads(answer.read())["messages"]


@pytest.mark.parametrize("end", ["restart", "crash"])
def test_what_concerns_people_survives(own_server, end):
    sns = client("sns", own_server.url)
    topic = sns.create_topic(Name="t", DataProtectionPolicy='{"Name": "p"}')["TopicArn"]
    sns.set_sms_attributes(attributes={"DefaultSMSType": "Transactional"})
    app = sns.create_platform_application(Name="a", Platform="GCM", Attributes={"PlatformCredential": "x"})
    app = app["PlatformApplicationArn"]
    device = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="d", CustomUserData="u")["EndpointArn"]
    phone = sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15551234567")["SubscriptionArn"]
    assert phone.startswith(topic)
    mail = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")
    assert mail["SubscriptionArn"] == "pending confirmation"
    sns.create_sms_sandbox_phone_number(PhoneNumber="+15551234567")
    sns.publish(TopicArn=topic, Message="to all")
    sns.publish(TargetArn=device, Message="to one app")
    sns.publish(PhoneNumber="+15557654321", Message="to one phone")

    getattr(own_server, end)()

    sns = client("sns", own_server.url)
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == '{"Name": "p"}'
    settings = sns.get_sms_attributes()["attributes"]
    assert settings == {"DefaultSMSType": "Transactional", "MonthlySpendLimit": "1"}
    [listed] = sns.list_platform_applications()["PlatformApplications"]
    assert listed == {"PlatformApplicationArn": app, "Attributes": {"Enabled": "true"}}
    [endpoint] = sns.list_endpoints_by_platform_application(PlatformApplicationArn=app)["Endpoints"]
    attributes = {"CustomUserData": "u", "Enabled": "true", "Token": "d"}
    assert endpoint == {"EndpointArn": device, "Attributes": attributes}
    [number] = sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"]
    assert number == {"PhoneNumber": "+15551234567", "Status": "Pending"}
    sent = [(one["protocol"], one["endpoint"], one["message"]) for one in outbox(own_server.url)]
    assert ("sms", "+15551234567", "to all") in sent
    assert ("application", device, "to one app") in sent
    assert ("sms", "+15557654321", "to one phone") in sent
    assert any(protocol == "email" and "Action=ConfirmSubscription" in text for protocol, _, text in sent)
    assert sns.check_if_phone_number_is_opted_out(phoneNumber="+15551234567")["isOptedOut"] is False
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    assert sns.list_origination_numbers()["PhoneNumbers"] == []


def test_who_subscribed_is_who_sts_says(sns, topic, server):
    caller = client("sts", server.url).get_caller_identity()
    assert caller["Account"] == "000000000000"
    arn = sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15551234567")["SubscriptionArn"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["SubscriptionPrincipal"] == caller["Arn"]
    assert ":user/" in caller["Arn"]


def test_envelopes_are_signed_and_a_filter_asks_one_element_of_a_long_list(sns, sqs, topic):
    queue = Queue(sqs)
    policy = {"items": {"kind": ["a"], "tenant": ["mine"]}}
    attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps(policy)}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=attributes)
    pairs = [{"kind": "a", "tenant": "other"}, {"kind": "b", "tenant": "mine"}] * 2_000
    sns.publish(TopicArn=topic, Message=json.dumps({"items": pairs}))
    sns.publish(TopicArn=topic, Message=json.dumps({"items": pairs + [{"kind": "a", "tenant": "mine"}]}))
    [message] = queue.take()
    envelope = json.loads(message["Body"])
    assert len(json.loads(envelope["Message"])["items"]) == 4_001
    assert envelope["SignatureVersion"] == "1"
    assert signature_is_valid(envelope)


def test_regions_are_apart(server):
    def of(region, service="sqs"):
        return boto3.client(
            service, endpoint_url=server.url, region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
        )

    name = unique("region")
    arns = set()
    for region in ("us-east-1", "eu-central-1", "ap-south-1"):
        sqs = of(region)
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=region)
        arns.add(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
    assert arns == {f"arn:aws:sqs:{region}:000000000000:{name}" for region in ("us-east-1", "eu-central-1", "ap-south-1")}
    for region in ("us-east-1", "eu-central-1", "ap-south-1"):
        [message] = of(region).receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert message["Body"] == region
