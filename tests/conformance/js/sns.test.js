// SNS with the JavaScript v3 SDK, as it is, against a real server at $KYU_SQS_URL.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import {
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  NotFoundException,
  PublishBatchCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from "@aws-sdk/client-sns";
import { CreateQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const endpoint = process.env.KYU_SQS_URL;
assert.ok(endpoint, "set KYU_SQS_URL");
const options = {
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
};
const sns = new SNSClient(options);
const sqs = new SQSClient(options);

test("a topic, a subscription, a publish, a batch", async () => {
  const name = `js-${randomUUID().slice(0, 12)}`;
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: name }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }));
  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: "sqs",
      Endpoint: Attributes.QueueArn,
      Attributes: { FilterPolicy: JSON.stringify({ kind: ["wanted"] }) },
    }),
  );
  const found = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
  assert.equal(found.Attributes.FilterPolicyScope, "MessageAttributes");
  const kind = (StringValue) => ({ kind: { DataType: "String", StringValue } });
  const published = await sns.send(
    new PublishCommand({ TopicArn, Message: "one", MessageAttributes: kind("wanted") }),
  );
  await sns.send(new PublishCommand({ TopicArn, Message: "two", MessageAttributes: kind("other") }));
  const batch = await sns.send(
    new PublishBatchCommand({
      TopicArn,
      PublishBatchRequestEntries: [{ Id: "a", Message: "three", MessageAttributes: kind("wanted") }],
    }),
  );
  assert.equal(batch.Successful.length, 1);
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
  const envelopes = Messages.map((message) => JSON.parse(message.Body));
  assert.deepEqual(envelopes.map((envelope) => envelope.Message).sort(), ["one", "three"]);
  assert.ok(envelopes.some((envelope) => envelope.MessageId === published.MessageId));
});

test("errors have their classes", async () => {
  const TopicArn = "arn:aws:sns:us-east-1:000000000000:nobody-made-it";
  await assert.rejects(sns.send(new PublishCommand({ TopicArn, Message: "x" })), NotFoundException);
});
