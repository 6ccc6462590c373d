//! XML answers as SNS writes them: lists as `<member>`, maps as `<entry>` with key and value.

use bytes::Bytes;

use crate::request_id::RequestId;
use crate::wire::xml::push_element;

const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// An answer that is being written.
pub(super) struct Output {
    text: String,
    action: String,
    has_result: bool,
}

impl Output {
    pub(super) fn new(action: &str, without_result: bool) -> Self {
        let has_result = !without_result;
        let mut text = format!("<{action}Response xmlns=\"{NAMESPACE}\">");
        if has_result {
            text.push_str(&format!("<{action}Result>"));
        }
        Self { text, action: action.to_owned(), has_result }
    }

    /// `<tag>value</tag>`
    pub(super) fn element(&mut self, tag: &str, value: &str) {
        push_element(&mut self.text, tag, value);
    }

    /// `<tag>value</tag>`, if there is a value.
    pub(super) fn optional(&mut self, tag: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.element(tag, value);
        }
    }

    /// An element with what `fill` writes.
    pub(super) fn nested(&mut self, tag: &str, fill: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{tag}>"));
        fill(self);
        self.text.push_str(&format!("</{tag}>"));
    }

    /// A map of strings.
    pub(super) fn map<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        tag: &str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) {
        self.nested(tag, |out| {
            for (key, value) in entries {
                out.nested("entry", |out| {
                    out.element("key", key.as_ref());
                    out.element("value", value.as_ref());
                });
            }
        });
    }

    pub(super) fn finish(mut self, id: &RequestId) -> Bytes {
        let action = std::mem::take(&mut self.action);
        if self.has_result {
            self.text.push_str(&format!("</{action}Result>"));
        }
        self.nested("ResponseMetadata", |out| out.element("RequestId", id.as_str()));
        self.text.push_str(&format!("</{action}Response>"));
        self.text.into()
    }
}

/// An error's answer.
pub(super) fn failure(code: &str, fault: &str, text: &str, id: &RequestId) -> Bytes {
    let mut out = format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>");
    push_element(&mut out, "Type", fault);
    push_element(&mut out, "Code", code);
    push_element(&mut out, "Message", text);
    out.push_str("</Error>");
    push_element(&mut out, "RequestId", id.as_str());
    out.push_str("</ErrorResponse>");
    out.into()
}
