//! Transcripts of both protocols: envelopes, errors, credentials, and what is no request at all.

use kyu_door::access::Credential;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::test_door::{Door, HOST, Said};

fn error_xml(code: &str, text: &str) -> String {
    format!(
        "<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message><Detail/></Error>"
    )
}

/// An XML answer without its request id, which is checked to be one.
fn without_id(said: &Said) -> String {
    let id = said.header("x-amzn-requestid");
    assert_eq!(id.len(), 36);
    assert!(said.body.contains(&format!("<RequestId>{id}</RequestId>")), "{}", said.body);
    said.body.replace(id, "ID")
}

#[tokio::test]
async fn a_conversation_in_query() {
    let door = Door::open();
    let said = door
        .form("/", "Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=0&Tag.1.Key=k&Tag.1.Value=v&Version=2012-11-05")
        .await;
    assert_eq!((said.status, said.header("content-type")), (200, "text/xml"));
    let expected = "<?xml version=\"1.0\"?>\
        <CreateQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">\
        <CreateQueueResult><QueueUrl>http://localhost:9324/000000000000/q</QueueUrl>\
        </CreateQueueResult>\
        <ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></CreateQueueResponse>";
    assert_eq!(without_id(&said), expected);

    // On the queue's URL, without QueueUrl.
    let said = door
        .form("/000000000000/q", "Action=SendMessage&MessageBody=a+%3Cb%3E+%26+%0D&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v")
        .await;
    assert_eq!(said.status, 200, "{}", said.body);
    assert!(said.body.contains("<SendMessageResult><MessageId>"), "{}", said.body);

    let said = door
        .form("/", "Action=ReceiveMessage&QueueUrl=http://h/000000000000/q&AttributeName.1=ApproximateReceiveCount&MessageAttributeName.1=All")
        .await;
    let body = "<Body>a &lt;b&gt; &amp; &#xD;</Body>\
        <Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>";
    assert!(said.body.contains(body), "{}", said.body);
    let attribute = "<MessageAttribute><Name>n</Name>\
        <Value><StringValue>v</StringValue><DataType>String</DataType></Value></MessageAttribute>";
    assert!(said.body.contains(attribute), "{}", said.body);
    let handle = said.body.split("<ReceiptHandle>").nth(1).unwrap().split('<').next().unwrap();

    // Asked for by both names, in Query the older one alone counts (recorded).
    door.form("/", "Action=SendMessage&QueueUrl=q&MessageBody=b").await;
    let said = door
        .form("/", "Action=ReceiveMessage&QueueUrl=q&VisibilityTimeout=60&AttributeName.1=SenderId&MessageSystemAttributeName.1=All")
        .await;
    assert_eq!(said.body.matches("<Attribute>").count(), 1, "{}", said.body);

    let handle = handle.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let batch = format!(
        "Action=DeleteMessageBatch&QueueUrl=q\
         &DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle={handle}\
         &DeleteMessageBatchRequestEntry.2.Id=b&DeleteMessageBatchRequestEntry.2.ReceiptHandle=x"
    );
    let said = door.form("/", &batch).await;
    let expected = "<DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>\
        <BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault>\
        <Code>ReceiptHandleIsInvalid</Code>";
    assert!(said.body.contains(expected), "{}", said.body);

    let said = door.form("/", "Action=ReceiveMessage&QueueUrl=q").await;
    assert!(said.body.contains("<ReceiveMessageResult></ReceiveMessageResult>"), "{}", said.body);
    let said = door.form("/", "Action=PurgeQueue&QueueUrl=q").await;
    assert!(!said.body.contains("Result"), "{}", said.body);
    let said = door.form("/", "Action=ListQueues").await;
    let url = "<ListQueuesResult><QueueUrl>http://localhost:9324/000000000000/q</QueueUrl>";
    assert!(said.body.contains(url), "{}", said.body);
    let said = door.form("/", "Action=ListQueueTags&QueueUrl=q").await;
    assert!(said.body.contains("<Tag><Key>k</Key><Value>v</Value></Tag>"), "{}", said.body);
}

/// Amazon::SQS::Simple (Perl) sends `x-amz-target` with every form. It was answered in JSON, which
/// it cannot read.
#[tokio::test]
async fn a_form_is_query_whatever_its_target_says() {
    let door = Door::open();
    let said = |content_type: Option<&'static str>, target: &'static str, body: &'static str| {
        let request = hyper::Request::post("/").header("host", HOST).header("x-amz-target", target);
        let request = match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        };
        door.say(request.body(body.as_bytes().to_vec()).unwrap())
    };
    let form = "application/x-www-form-urlencoded;charset=utf-8";
    let body = "Action=CreateQueue&QueueName=q&Version=2012-11-05";
    for target in ["AmazonSQSv20121105.CreateQueue", "AmazonSQS.CreateQueue", "AmazonSQS.Other"] {
        let said = said(Some(form), target, body).await;
        assert_eq!((said.status, said.header("content-type")), (200, "text/xml"), "{target}");
        assert!(said.body.contains("<QueueUrl>"), "{}", said.body);
    }
    for content_type in [None, Some("application/json"), Some("application/x-amz-json-1.0")] {
        let said = said(content_type, "AmazonSQS.ListQueues", "{}").await;
        assert_eq!(said.header("content-type"), "application/x-amz-json-1.0", "{content_type:?}");
        assert_eq!(said.status, 200);
    }
}

/// AWS documents `Attribute.Name` beside `Attribute.1.Name`, and boto 2 sends it.
#[tokio::test]
async fn a_list_of_one_needs_no_number() {
    let door = Door::open();
    let form = async |form: &str| {
        let said = door.form("/", form).await;
        assert_eq!(said.status, 200, "{form}: {}", said.body);
        said.body
    };
    form("Action=CreateQueue&QueueName=q&Attribute.Name=DelaySeconds&Attribute.Value=0&Tag.Key=a&Tag.Value=b").await;
    form(
        "Action=SetQueueAttributes&QueueUrl=q&Attribute.Name=VisibilityTimeout&Attribute.Value=35",
    )
    .await;
    form("Action=TagQueue&QueueUrl=q&Tag.Key=c&Tag.Value=d").await;
    form(
        "Action=AddPermission&QueueUrl=q&Label=l&AWSAccountId=123456789012&ActionName=SendMessage",
    )
    .await;
    let shown = form("Action=GetQueueAttributes&QueueUrl=q&AttributeName=VisibilityTimeout").await;
    assert!(shown.contains("<Value>35</Value>"), "{shown}");
    form("Action=SendMessage&QueueUrl=q&MessageBody=m&MessageAttribute.Name=n&MessageAttribute.Value.DataType=String&MessageAttribute.Value.StringValue=v").await;
    form("Action=SendMessageBatch&QueueUrl=q&SendMessageBatchRequestEntry.Id=1&SendMessageBatchRequestEntry.MessageBody=m").await;
    let received = form("Action=ReceiveMessage&QueueUrl=q&MaxNumberOfMessages=10&MessageAttributeName=n&AttributeName=SenderId").await;
    assert_eq!(received.matches("<Message>").count(), 2, "{received}");
    assert!(received.contains("<StringValue>v</StringValue>"), "{received}");
    let handle = received.split("<ReceiptHandle>").nth(1).unwrap().split('<').next().unwrap();
    let handle = handle.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let entry = format!(
        "ChangeMessageVisibilityBatchRequestEntry.Id=1&ChangeMessageVisibilityBatchRequestEntry.ReceiptHandle={handle}&ChangeMessageVisibilityBatchRequestEntry.VisibilityTimeout=60"
    );
    let changed = form(&format!("Action=ChangeMessageVisibilityBatch&QueueUrl=q&{entry}")).await;
    assert!(changed.contains("<ChangeMessageVisibilityBatchResultEntry><Id>1</Id>"), "{changed}");
    let entry = format!(
        "DeleteMessageBatchRequestEntry.Id=1&DeleteMessageBatchRequestEntry.ReceiptHandle={handle}"
    );
    let deleted = form(&format!("Action=DeleteMessageBatch&QueueUrl=q&{entry}")).await;
    assert!(deleted.contains("<DeleteMessageBatchResultEntry><Id>1</Id>"), "{deleted}");
    form("Action=UntagQueue&QueueUrl=q&TagKey=a").await;
    assert_eq!(form("Action=ListQueueTags&QueueUrl=q").await.matches("<Tag>").count(), 1);
    // The same of SNS' lists and maps.
    let sns = async |action: &str, rest: &str| {
        form(&format!("Action={action}&Version=2010-03-31&{rest}")).await
    };
    let topic = "TopicArn=arn:aws:sns:us-east-1:000000000000:t";
    let resource = topic.replace("TopicArn", "ResourceArn");
    sns("CreateTopic", "Name=t&Attributes.entry.key=DisplayName&Attributes.entry.value=d&Tags.member.Key=a&Tags.member.Value=b").await;
    let endpoint = "Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:q";
    sns(
        "Subscribe",
        &format!(
            "{topic}&{endpoint}&Attributes.entry.key=RawMessageDelivery&Attributes.entry.value=true"
        ),
    )
    .await;
    sns("Publish", &format!("{topic}&Message=m&MessageAttributes.entry.Name=n&MessageAttributes.entry.Value.DataType=String&MessageAttributes.entry.Value.StringValue=w")).await;
    let batch =
        "PublishBatchRequestEntries.member.Id=1&PublishBatchRequestEntries.member.Message=m";
    let published = sns("PublishBatch", &format!("{topic}&{batch}")).await;
    assert!(published.contains("<Id>1</Id>"), "{published}");
    sns(
        "AddPermission",
        &format!("{topic}&Label=l&AWSAccountId.member=123456789012&ActionName.member=Publish"),
    )
    .await;
    sns("TagResource", &format!("{resource}&Tags.member.Key=c&Tags.member.Value=d")).await;
    sns("UntagResource", &format!("{resource}&TagKeys.member=a")).await;
    let tags = sns("ListTagsForResource", &resource).await;
    assert_eq!(tags.matches("<Key>").count(), 1, "{tags}");
    let shown = sns("GetTopicAttributes", topic).await;
    assert!(shown.contains("<value>d</value>"), "{shown}");
}

#[tokio::test]
async fn query_by_url_as_recorded() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let path = "/000000000000/q";
    for accept in ["*/*", "application/json"] {
        let said = door.get(path, accept).await;
        assert_eq!((said.status, said.header("content-type")), (404, "text/xml"));
        assert!(said.body.contains("<UnknownOperationException"), "{}", said.body);
    }
    let said = door.get(&format!("{path}?Action=GetQueueUrl&QueueName=q"), "*/*").await;
    assert!(said.body.contains("/000000000000/q</QueueUrl>"), "{}", said.body);
    for action in ["CreateQueue", "ListQueues", "FooBar"] {
        let said = door.get(&format!("{path}?Action={action}"), "*/*").await;
        assert_eq!(said.status, 400);
        let text = format!("The action {action} is not valid for this endpoint.");
        assert!(said.body.contains(&error_xml("InvalidAction", &text)), "{}", said.body);
    }
    let all = format!("{path}?Action=GetQueueAttributes&AttributeName.1=QueueArn");
    let said = door.get(&all, "*/*").await;
    let arn = "<GetQueueAttributesResult><Attribute><Name>QueueArn</Name>\
        <Value>arn:aws:sqs:us-east-1:000000000000:q</Value></Attribute>";
    assert!(said.body.contains(arn), "{}", said.body);
    // Old clients send a list of one without a number.
    let said = door.get(&all.replace("Name.1", "Name"), "*/*").await;
    assert!(said.body.contains(arn), "{}", said.body);
    let said = door.get(&all, "application/json").await;
    assert_eq!(said.header("content-type"), "application/json");
    let answer = &said.json()["GetQueueAttributesResponse"];
    let attributes = &answer["GetQueueAttributesResult"]["Attributes"];
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    assert_eq!(*attributes, json!([{ "Name": "QueueArn", "Value": arn }]));
    assert_eq!(answer["ResponseMetadata"]["RequestId"], said.header("x-amzn-requestid"));
    let said = door.get(&format!("{path}x?Action=GetQueueAttributes"), "application/json").await;
    let error = &said.json()["Error"];
    assert_eq!(error["Code"], "AWS.SimpleQueueService.NonExistentQueue");
}

#[tokio::test]
async fn json_answers_to_query_as_recorded() {
    let door = Door::open();
    let url = door.queue("q", json!({})).await;
    let path = "/000000000000/q";
    let empty = door.get(&format!("{path}?Action=ReceiveMessage"), "application/json").await;
    let empty = &empty.json()["ReceiveMessageResponse"]["ReceiveMessageResult"];
    assert_eq!(*empty, json!({ "messages": null }));
    let send = format!(
        "{path}?Action=SendMessage&MessageBody=m&MessageAttribute.1.Name=n\
         &MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v"
    );
    let sent = door.get(&send, "application/json").await.json();
    let sent = &sent["SendMessageResponse"]["SendMessageResult"];
    assert!(sent["MD5OfMessageAttributes"].is_string());
    assert_eq!(sent.get("SequenceNumber"), Some(&json!(null)));
    let receive = format!("{path}?Action=ReceiveMessage&MessageAttributeName.1=All");
    let received = door.get(&receive, "application/json").await.json();
    let message = &received["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"][0];
    assert_eq!((&message["Body"], message.get("Attributes")), (&json!("m"), Some(&json!(null))));
    let value = json!({ "StringValue": "v", "DataType": "String" });
    assert_eq!(message["MessageAttributes"], json!([{ "Name": "n", "Value": value }]));
    let listed = door.get("/?Action=ListQueues", "application/json").await.json();
    let listed = &listed["ListQueuesResponse"]["ListQueuesResult"];
    assert_eq!(*listed, json!({ "NextToken": null, "queueUrls": [url] }));
    door.ok("TagQueue", json!({ "QueueUrl": url, "Tags": { "k": "v" } })).await;
    let tags = door.get(&format!("{path}?Action=ListQueueTags"), "application/json").await.json();
    let tags = &tags["ListQueueTagsResponse"]["ListQueueTagsResult"]["Tags"];
    assert_eq!(*tags, json!([{ "Key": "k", "Value": "v" }]));
}

#[tokio::test]
async fn json_on_a_queue_url() {
    let door = Door::open();
    let url = door.queue("q", json!({})).await;
    let request = hyper::Request::post("/000000000000/q")
        .header("host", HOST)
        .header("x-amz-target", "AmazonSQS.ReceiveMessage")
        .body(json!({ "QueueUrl": url }).to_string().into_bytes())
        .unwrap();
    let said = door.say(request).await;
    assert_eq!((said.status, &*said.body), (200, "{}"));
}

#[tokio::test]
async fn what_is_no_request() {
    let door = Door::open();
    let url = door.queue("q", json!({})).await;
    let deep = format!("{{\"QueueUrl\":{}", "[".repeat(100_000));
    for body in [
        "x",
        "[]",
        "\"\"",
        "{",
        "{\"QueueUrl\":1}",
        "{\"QueueUrl\":\"\\ud800\"}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":{}}",
        "{\"QueueUrl\":\"q\",\"DelaySeconds\":\"1\"}",
        "{\"QueueUrl\":\"q\",\"DelaySeconds\":99999999999999999999}",
        &deep,
    ] {
        let said = door.post("SendMessage", body).await;
        assert_eq!(said.status, 400, "{}", said.body);
        assert_eq!(said.header("x-amzn-query-error"), "MalformedInput;Sender");
        let name = "com.amazon.coral.service#SerializationException";
        assert_eq!(said.json()["__type"], name, "{}", said.body);
    }
    // What the model does not know is not looked at.
    let unknown = json!({ "QueueUrl": url, "MessageBody": "m", "Nope": [{ "x": null }] });
    door.ok("SendMessage", unknown).await;
    let (status, code, _) = door.fails("Nope", json!({})).await;
    assert_eq!((status, code.as_str()), (404, "UnknownOperation"));
    assert_eq!(door.fails("SendMessage", json!({})).await.1, "MissingParameter");
    let nowhere = async |url: &str| {
        let (status, code, text) = door.fails("PurgeQueue", json!({ "QueueUrl": url })).await;
        (status, code.rsplit('.').next().unwrap().to_owned(), text)
    };
    for wrong in ["", "nope", "http://localhost:9324/nope", "http://localhost:9324"] {
        let text = format!("The address {wrong} is not valid for this endpoint.");
        assert_eq!(nowhere(wrong).await, (404, "InvalidAddress".into(), text), "{wrong}");
    }
    for missing in ["http://localhost:9324/000000000000/nope", "000000000000/nope"] {
        assert_eq!(nowhere(missing).await.1, "NonExistentQueue", "{missing}");
    }
    let many = "a=b&".repeat(3000);
    for body in [
        "Action=SendMessage&QueueUrl=q&MessageBody=%FF",
        "Action=SendMessage&QueueUrl=q&DelaySeconds=x",
        "Action=SendMessage&QueueUrl=q&MessageAttribute.x.Name=n",
        "Action=SendMessage&QueueUrl=q&MessageAttribute.1.Name=n",
        "Action=SendMessage&QueueUrl.1=q",
        "Action=SendMessage&QueueUrl=q&QueueUrl.1=q",
        "a.b.c.d.e.f.g.h.i.j=1&Action=SendMessage",
        &many,
    ] {
        let said = door.form("/", body).await;
        assert_eq!(said.status, 400, "{body}: {}", said.body);
        assert!(said.body.contains("<Code>MalformedInput</Code>"), "{}", said.body);
    }
}

#[tokio::test]
async fn a_body_that_never_came_is_answered_in_the_clients_dialect() {
    let door = Door::open();
    let head = |json: bool| {
        let request = hyper::Request::post("/");
        let request =
            if json { request.header("x-amz-target", "AmazonSQS.SendMessage") } else { request };
        request.body(()).unwrap().into_parts().0
    };
    let reason = Rejection::BodyTooLarge { max_bytes: 10 };
    let said = door.rejected(&head(true), reason).await;
    assert_eq!((said.status, said.header("content-type")), (413, "application/x-amz-json-1.0"));
    let said = door.rejected(&head(false), reason).await;
    assert!(said.body.contains("<Code>RequestEntityTooLarge</Code>"), "{}", said.body);
}

#[tokio::test]
async fn credentials_are_asked_for_where_there_are_some() {
    let credential = Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "secret".into(),
        user: None,
    };
    let door = Door::with(SqsOptions::default(), Access::new(vec![credential]));
    let (status, code, _) = door.fails("ListQueues", json!({})).await;
    assert_eq!((status, code.as_str()), (403, "MissingAuthenticationToken"));
    let signed = |key: &str, rest: &str| {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sqs/aws4_request{rest}, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        hyper::Request::post("/")
            .header("host", HOST)
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", header)
            .body(b"{}".to_vec())
            .unwrap()
    };
    for (key, rest, status, code) in [
        ("AKIDOTHER", "", 403, "InvalidClientTokenId;Sender"),
        ("AKIDEXAMPLE", "/x", 400, "IncompleteSignature;Sender"),
        ("AKIDEXAMPLE", "", 400, "RequestExpired;Sender"),
    ] {
        let said = door.say(signed(key, rest)).await;
        assert_eq!((said.status, said.header("x-amzn-query-error")), (status, code));
    }
}

#[test]
fn all_actions_of_the_service_model_are_there() {
    assert_eq!(actions::NAMES.len(), 23);
}

proptest! {
    /// No input is too strange for the decoders: they answer, and never panic.
    #[test]
    fn any_bytes_are_read_calmly(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzzing::requests(&bytes);
    }

    #[test]
    fn any_parameters_are_read_calmly(
        text in "((Action|QueueUrl|Attribute|MessageAttribute|Tag|Entries|[a-z])(\\.[0-9]{1,3}|\\.Name|\\.Value|\\.Key){0,4}=[a-z%+0-9]{0,5}&){0,20}",
    ) {
        crate::fuzzing::requests(text.as_bytes());
    }

    /// Both protocols mean the same message.
    #[test]
    fn texts_survive_the_form(text in "\\PC{0,40}") {
        let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        let form = format!("A={encoded}&B=x");
        let parameters = form::parse(&[form.as_bytes()]).unwrap();
        prop_assert_eq!(parameters.text("A"), Some(text.as_str()));
    }
}

/// Scripts ask this first, to know whose key they have.
#[tokio::test]
async fn who_is_calling() {
    let door = Door::open();
    let said = door.form("/", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!((said.status, said.header("content-type")), (200, "text/xml"));
    let expected = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/local</Arn>\
        <UserId>AIDAIT2UOQQY3AUEKVGXU</UserId><Account>000000000000</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata>\
        </GetCallerIdentityResponse>";
    assert_eq!(without_id(&said), expected);
    let said = door.form("/", "Action=AssumeRole&Version=2011-06-15").await;
    assert_eq!(said.status, 400);
    assert!(said.body.contains("<Code>InvalidAction</Code>"), "{}", said.body);
}

/// A preflight was answered as a Query request without an action: 404 in XML, and browsers said
/// nothing of why.
#[tokio::test]
async fn preflights_are_told_apart_from_requests() {
    let preflight = |method: &str| {
        hyper::Request::builder()
            .method(method)
            .uri("/")
            .header("host", HOST)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-amz-target")
            .body(vec![])
            .unwrap()
    };
    let open = Door::open();
    let said = open.say(preflight("OPTIONS")).await;
    assert_eq!((said.status, said.header("access-control-allow-origin")), (403, ""));
    let credential = Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "secret".into(),
        user: None,
    };
    let keyed = Door::with(SqsOptions::default(), Access::new(vec![credential]));
    let said = keyed.say(preflight("OPTIONS")).await;
    assert_eq!((said.status, said.header("access-control-allow-origin")), (200, "*"));
    assert_eq!(said.header("access-control-allow-headers"), "authorization,x-amz-target");
    // What the page sends then it may read, errors too.
    let said = keyed.say(preflight("POST")).await;
    assert_eq!((said.status, said.header("access-control-allow-origin")), (403, "*"));
    let mut plain = preflight("OPTIONS");
    plain.headers_mut().remove("access-control-request-method");
    assert_eq!(open.say(plain).await.header("access-control-allow-origin"), "");
}
