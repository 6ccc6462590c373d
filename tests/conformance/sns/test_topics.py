"""Topics: their life, attributes, tags and permissions."""

import json
import re

from conftest import refused, unique


def test_the_life_of_a_topic(sns):
    name = unique("t")
    arn = sns.create_topic(Name=name, Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
    assert arn == f"arn:aws:sns:us-east-1:000000000000:{name}"
    assert sns.create_topic(Name=name)["TopicArn"] == arn
    listed = [t["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for t in page["Topics"]]
    assert arn in listed
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    refused("NotFound", 404, "Topic does not exist", sns.get_topic_attributes, TopicArn=arn)


def test_attributes(sns, topic):
    """The default policy and delivery policy are as recorded."""
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="name")
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["DisplayName"] == "name"
    assert attributes["SubscriptionsConfirmed"] == "0"
    assert json.loads(attributes["Policy"])["Statement"][0]["Condition"] == {
        "StringEquals": {"AWS:SourceOwner": "000000000000"}
    }
    delivery = json.loads(attributes["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]
    assert (delivery["numRetries"], delivery["minDelayTarget"]) == (3, 20)
    refused(
        "InvalidParameter", 400, "Invalid parameter: AttributeName",
        sns.set_topic_attributes, TopicArn=topic, AttributeName="FifoTopic", AttributeValue="false",
    )


def test_names_and_arns(sns):
    for name in ["", "x" * 257, *(f"bad{c}name" for c in ":;!@|^% ")]:
        refused("InvalidParameter", 400, "Invalid parameter: Topic Name", sns.create_topic, Name=name)
    without = {"Name": "x", "Attributes": {"FifoTopic": "true"}}
    refused("InvalidParameter", 400, "Invalid parameter: Topic Name", sns.create_topic, **without)
    sns.create_topic(Name="x" * 256)
    text = re.escape("Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1")
    refused("InvalidParameter", 400, text, sns.get_topic_attributes, TopicArn="x")


def test_permissions(sns, topic):
    sns.add_permission(TopicArn=topic, Label="l", AWSAccountId=["111111111111"], ActionName=["Publish"])
    policy = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert [statement["Sid"] for statement in policy["Statement"]] == ["__default_statement_ID", "l"]
    sns.remove_permission(TopicArn=topic, Label="l")
