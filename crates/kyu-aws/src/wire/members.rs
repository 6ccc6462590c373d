//! Names of list and map members on the Query wire, where they are flattened: `Entries` of a
//! request becomes `SendMessageBatchRequestEntry.1.Id`, `Messages` of a response `<Message>`.

/// The flat name of a member. Members that are neither lists nor maps keep their name.
pub(super) fn flat_name(structure: &str, member: &'static str) -> &'static str {
    match (structure, member) {
        ("SendMessageBatchRequest", "Entries") => "SendMessageBatchRequestEntry",
        ("DeleteMessageBatchRequest", "Entries") => "DeleteMessageBatchRequestEntry",
        ("ChangeMessageVisibilityBatchRequest", "Entries") => {
            "ChangeMessageVisibilityBatchRequestEntry"
        }
        ("SendMessageBatchResult", "Successful") => "SendMessageBatchResultEntry",
        ("DeleteMessageBatchResult", "Successful") => "DeleteMessageBatchResultEntry",
        ("ChangeMessageVisibilityBatchResult", "Successful") => {
            "ChangeMessageVisibilityBatchResultEntry"
        }
        (_, "Failed") => "BatchResultErrorEntry",
        (_, "Results") => "ListMessageMoveTasksResultEntry",
        (_, "Attributes") => "Attribute",
        (_, "AttributeNames") => "AttributeName",
        (_, "MessageAttributes") => "MessageAttribute",
        (_, "MessageAttributeNames") => "MessageAttributeName",
        (_, "MessageSystemAttributes") => "MessageSystemAttribute",
        (_, "MessageSystemAttributeNames") => "MessageSystemAttributeName",
        (_, "StringListValues") => "StringListValue",
        (_, "BinaryListValues") => "BinaryListValue",
        (_, "Messages") => "Message",
        (_, "QueueUrls" | "queueUrls") => "QueueUrl",
        (_, "tags" | "Tags") => "Tag",
        (_, "TagKeys") => "TagKey",
        (_, "AWSAccountIds") => "AWSAccountId",
        (_, "Actions") => "ActionName",
        (_, other) => other,
    }
}

/// The name of the key in a map entry.
pub(super) fn key_name(flat_name: &str) -> &'static str {
    if flat_name == "Tag" { "Key" } else { "Name" }
}

/// The name of the value in a map entry.
pub(super) const VALUE_NAME: &str = "Value";
