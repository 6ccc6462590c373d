//! The HTTP port: health and metrics here, `/v1` to the admin API, everything else to SQS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kyu_admin::Admin;
use kyu_aws::Sqs;
use kyu_broker::Broker;
use kyu_door::http::{
    Counts, Handler, Head, Method, Rejection, Request, Response, StatusCode, header, text,
};

use crate::metrics_text;

/// Answers on one HTTP port.
pub(crate) struct Port {
    pub(crate) broker: Broker,
    pub(crate) admin: Admin,
    pub(crate) sqs: Sqs,
    pub(crate) counts: Arc<Counts>,
    pub(crate) pgmq_counts: Arc<kyu_pgmq::wire::Counts>,
    /// Cleared when the server begins to end, so that balancers look elsewhere.
    pub(crate) ready: Arc<AtomicBool>,
}

impl Handler for Port {
    async fn handle(&self, request: Request) -> Response {
        if Admin::is_addressed(&request.head) {
            return self.admin.handle(request).await;
        }
        // SQS answers GET too (Query protocol), but with an Action in the query string.
        if request.head.method == Method::GET && request.head.uri.query().is_none() {
            match request.head.uri.path() {
                "/livez" => return text(StatusCode::OK, "ok\n"),
                "/readyz" => return self.readiness(),
                "/metrics" => return self.metrics().await,
                _ => {}
            }
        }
        self.sqs.handle(request).await
    }

    fn reject(&self, head: &Head, reason: Rejection) -> Response {
        if Admin::is_addressed(head) {
            return self.admin.reject(head, reason);
        }
        self.sqs.reject(head, reason)
    }
}

impl Port {
    fn readiness(&self) -> Response {
        if self.ready.load(Ordering::Relaxed) {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
        }
    }

    async fn metrics(&self) -> Response {
        match self.broker.metrics().await {
            Ok(measured) => {
                let (pgmq, sns) = (&self.pgmq_counts, self.sqs.delivery_counts());
                let rendered = metrics_text::render(&measured, &self.counts, pgmq, sns);
                let mut response = text(StatusCode::OK, rendered);
                let format = header::HeaderValue::from_static("text/plain; version=0.0.4");
                response.headers_mut().insert(header::CONTENT_TYPE, format);
                response
            }
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }
}
