//! The HTTP port: health and metrics here, `/v1` to the admin API, everything else to SQS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kyu_admin::Admin;
use kyu_aws::Sqs;
use kyu_broker::{Broker, Error};
use kyu_door::access::Access;
use kyu_door::http::{
    Counts, Handler, Head, Method, PortMemory, Rejection, Request, Response, StatusCode, header,
    text,
};

use crate::{metrics_text, queue_series};

/// Answers on one HTTP port.
pub(crate) struct Port {
    pub(crate) broker: Broker,
    pub(crate) admin: Admin,
    pub(crate) sqs: Sqs,
    /// The rule for who may read the names of queues in `/metrics`.
    pub(crate) access: Access,
    /// Most queues with series of their own in `/metrics`.
    pub(crate) metrics_queues: usize,
    pub(crate) counts: Arc<Counts>,
    pub(crate) memory: PortMemory,
    pub(crate) pgmq_counts: Arc<kyu_pgmq::wire::Counts>,
    pub(crate) pgmq_memory: kyu_pgmq::wire::DoorMemory,
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
                "/readyz" => return self.readiness().await,
                "/metrics" => return self.metrics(&request).await,
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
    /// Tells whether new messages are taken: a balancer should look elsewhere as long as they are
    /// not.
    async fn readiness(&self) -> Response {
        if !self.ready.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
        }
        match self.broker.metrics().await {
            Ok(measured) if measured.gauges.log_full == 0 => text(StatusCode::OK, "ready\n"),
            Ok(_) => text(StatusCode::SERVICE_UNAVAILABLE, "storage is full\n"),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    async fn metrics(&self, request: &Request) -> Response {
        match self.measured(request).await {
            Ok(rendered) => {
                let mut response = text(StatusCode::OK, rendered);
                let format = header::HeaderValue::from_static("text/plain; version=0.0.4");
                response.headers_mut().insert(header::CONTENT_TYPE, format);
                response
            }
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    /// Sums for everybody; of single queues only to whom the admin API would name them as well.
    async fn measured(&self, request: &Request) -> Result<String, Error> {
        let Request { head, body, peer, .. } = request;
        let now_ms = self.broker.now_ms();
        let named = self.access.admit_api(head, body, *peer, now_ms / 1_000).is_ok();
        let most = if named { self.metrics_queues } else { 0 };
        let queues = self.broker.queue_metrics(most).await?;
        let all = self.broker.metrics().await?;
        let left_out = all.gauges.queues.saturating_sub(queues.len() as u64);
        let (pgmq, sns) = (&self.pgmq_counts, self.sqs.delivery_counts());
        let (http_memory, pgmq_memory) = (&self.memory, &self.pgmq_memory);
        let mut rendered =
            metrics_text::render(&all, &self.counts, http_memory, pgmq, pgmq_memory, sns, left_out);
        queue_series::render(&mut rendered, &queues, now_ms);
        Ok(rendered)
    }
}
