//! The table of operations, and the files that carry them out: one for each resource.

mod atomic;
mod bindings;
mod exchanges;
mod guards;
mod lanes;
mod ledger;
mod messages;
mod move_tasks;
mod publish;
mod queues;
mod schedules;
mod selection;
mod server;

use hyper::Method;

use crate::api;
use crate::operation::{Body, Done, Empty, Json, Operation, Optional, Patch, Settings, query};

/// One row: what it does; name, method and path; where the code is; query, body and answer; status.
macro_rules! operations {
    ($(
        $(#[doc = $about:literal])+
        $id:ident: $method:ident $path:literal,
        $module:ident::$function:ident($query:ty, $body:ty) -> $answer:ty, $status:literal $(or $other:literal)?;
    )+) => {
        /// All operations. Where two paths could be meant, the first counts.
        pub(crate) static OPERATIONS: &[Operation] = &[$(Operation {
            id: stringify!($id),
            method: Method::$method,
            path: $path,
            about: concat!($($about, "\n"),+),
            tag: stringify!($module),
            status: $status,
            other_statuses: &[$($other)?],
            run: |call| Box::pin(async move {
                let query = query::<$query>(call)?;
                let body = <$body as Body>::read(call)?;
                let done: Done<$answer> = $module::$function(call, query, body).await?;
                done.write($status)
            }),
            query: |generator| generator.subschema_for::<$query>(),
            body: |generator| <$body as Body>::schema(generator),
            answer: |generator| generator.subschema_for::<$answer>(),
        },)+];
    };
}

operations! {
    /// Send a message. When it is answered, the message is on disk.
    send_message: POST "/v1/queues/{queue}/messages",
        messages::send(api::InNamespace, Json<api::NewMessage>) -> api::Sent, 201;
    /// Send up to 1000 messages; each succeeds or fails alone.
    send_messages: POST "/v1/queues/{queue}/messages/batch",
        messages::send_batch(api::InNamespace, Json<api::SendBatch>) -> api::SendResults, 200;
    /// Lease messages, waiting for the first if asked to (long poll).
    receive_messages: POST "/v1/queues/{queue}/receive",
        messages::receive(api::InNamespace, Optional<api::Receive>) -> api::ReceivedMessages, 200;
    /// Settle deliveries: acknowledge, give back, or dead-letter; each succeeds or fails alone.
    settle_messages: POST "/v1/queues/{queue}/settle",
        messages::settle(api::InNamespace, Json<api::Settle>) -> api::SettleResults, 200;
    /// Move the end of leases; each succeeds or fails alone.
    extend_leases: POST "/v1/queues/{queue}/extend",
        messages::extend(api::InNamespace, Json<api::Extend>) -> api::ExtendResults, 200;
    /// Look at the first messages that a receive would return. Changes nothing.
    peek_messages: GET "/v1/queues/{queue}/messages",
        messages::peek(api::Peek, Empty) -> api::PeekedMessages, 200;
    /// Go through all messages of a queue in order of arrival, in any state. Changes nothing.
    browse_messages: GET "/v1/queues/{queue}/browse",
        messages::browse(api::Browse, Empty) -> api::BrowsedMessages, 200;
    /// A message, in any state. Changes nothing.
    get_message: GET "/v1/queues/{queue}/messages/{seq}",
        selection::get(api::InNamespace, Empty) -> api::Message, 200;
    /// Change the priority of a message that nobody works on, or postpone it.
    change_message: PATCH "/v1/queues/{queue}/messages/{seq}",
        selection::change(api::InNamespace, Json<api::MessageChange>) -> api::Message, 200;
    /// Remove a message: the job is cancelled. One that somebody works on only with `in_flight`.
    cancel_message: DELETE "/v1/queues/{queue}/messages/{seq}",
        selection::cancel(api::CancelQuery, Empty) -> (), 204;
    /// Make a message ready at once, whatever it waits for: its delay, its next attempt, a budget; a
    /// dead letter that is kept here begins anew.
    run_message: POST "/v1/queues/{queue}/messages/{seq}/run",
        selection::run(api::InNamespace, Empty) -> api::Message, 200;
    /// Move a message to another queue, or a dead letter back to where it came from.
    move_message: POST "/v1/queues/{queue}/messages/{seq}/move",
        selection::relocate(api::InNamespace, Optional<api::MessageMove>) -> (), 204;
    /// Choose messages by state, reason, age, lane, attributes, text or error, and cancel, run,
    /// postpone, prioritise or move them; without an action, only tell which they are. One request
    /// looks at a bounded number of messages, and says where the next one goes on.
    select_messages: POST "/v1/queues/{queue}/messages/select",
        selection::select(api::InNamespace, Settings<api::Selection>) -> api::SelectedMessages, 200;
    /// The history of a message: its attempts, and why it waits.
    get_message_history: GET "/v1/queues/{queue}/messages/{seq}/history",
        messages::history(api::InNamespace, Empty) -> api::MessageHistory, 200;
    /// The reasons why a message is not delivered now, and when it could be; the events in its life
    /// so far.
    explain_message: GET "/v1/queues/{queue}/messages/{seq}/explain",
        messages::explain(api::InNamespace, Empty) -> api::Explanation, 200;
    /// Several commands together or not at all, in one record of the log.
    run_atomic: POST "/v1/atomic",
        atomic::run(api::InNamespace, Json<api::Atomic>) -> api::AtomicResults, 200;

    /// Queues in order of name.
    list_queues: GET "/v1/queues",
        queues::list(api::ListQueues, Empty) -> api::QueuePage, 200;
    /// A queue.
    get_queue: GET "/v1/queues/{queue}",
        queues::get(api::InNamespace, Empty) -> api::Queue, 200;
    /// Create a queue, or replace the settings of the one that is there: what is left out gets its
    /// default. `If-None-Match: *` only creates, `If-Match` only replaces the version that it names.
    put_queue: PUT "/v1/queues/{queue}",
        queues::put(api::InNamespace, Settings<api::QueueSettings>) -> api::Queue, 200 or 201;
    /// Change some settings (JSON merge patch, RFC 7396): what is `null` gets its default again,
    /// and an object with a `kind` is replaced as a whole.
    patch_queue: PATCH "/v1/queues/{queue}",
        queues::patch(api::InNamespace, Patch<api::QueueSettings>) -> api::Queue, 200;
    /// Delete a queue and its messages. There is an answer only if there is something to say.
    delete_queue: DELETE "/v1/queues/{queue}",
        queues::delete(api::InNamespace, Empty) -> api::DeletedQueue, 204 or 200;
    /// Drop all messages of a queue, also those in flight.
    purge_queue: POST "/v1/queues/{queue}/purge",
        queues::purge(api::InNamespace, Empty) -> api::Purged, 200;
    /// Counts of a queue, now and since it was created.
    get_queue_stats: GET "/v1/queues/{queue}/stats",
        queues::stats(api::InNamespace, Empty) -> api::QueueStatistics, 200;
    /// Give out nothing until it is resumed: the queue or one lane of it. Sends and settles work.
    pause_queue: POST "/v1/queues/{queue}/pause",
        lanes::pause(api::InNamespace, Optional<api::PauseTarget>) -> api::PauseState, 200;
    /// End a pause.
    resume_queue: POST "/v1/queues/{queue}/resume",
        lanes::resume(api::InNamespace, Optional<api::PauseTarget>) -> api::PauseState, 200;
    /// The lanes of a queue that have messages, and what limits them.
    list_lanes: GET "/v1/queues/{queue}/lanes",
        lanes::list(api::Page, Empty) -> api::LanePage, 200;
    /// The retry budgets and breakers of a queue, and what they hold back.
    list_guards: GET "/v1/queues/{queue}/guards",
        guards::list(api::Page, Empty) -> api::GuardPage, 200;
    /// The queues that dead-letter into this one.
    list_dead_letter_sources: GET "/v1/queues/{queue}/dead-letter-sources",
        queues::dead_letter_sources(api::InNamespace, Empty) -> api::QueueNames, 200;

    /// Start to move the messages of a queue to where they came from, or to another queue.
    start_move_task: POST "/v1/queues/{queue}/move-tasks",
        move_tasks::start(api::InNamespace, Optional<api::NewMoveTask>) -> api::MoveTask, 201;
    /// The last move tasks of a queue, the newest first.
    list_move_tasks: GET "/v1/queues/{queue}/move-tasks",
        move_tasks::list(api::InNamespace, Empty) -> api::MoveTasks, 200;
    /// A move task, with how far it is.
    get_move_task: GET "/v1/queues/{queue}/move-tasks/{task}",
        move_tasks::get(api::InNamespace, Empty) -> api::MoveTask, 200;
    /// Stop a move task. What it has moved stays moved.
    cancel_move_task: DELETE "/v1/queues/{queue}/move-tasks/{task}",
        move_tasks::cancel(api::InNamespace, Empty) -> api::MoveTask, 200;

    /// Publish a message. When it is answered, it is on disk in every queue that wants it.
    publish_message: POST "/v1/exchanges/{exchange}/messages",
        publish::one(api::InNamespace, Json<api::NewPublication>) -> api::Published, 201;
    /// Publish up to 1000 messages; each succeeds or fails alone.
    publish_messages: POST "/v1/exchanges/{exchange}/messages/batch",
        publish::batch(api::InNamespace, Json<api::PublishBatch>) -> api::PublishResults, 200;
    /// Exchanges (SNS: topics) in order of name.
    list_exchanges: GET "/v1/exchanges",
        exchanges::list(api::Page, Empty) -> api::ExchangePage, 200;
    /// An exchange.
    get_exchange: GET "/v1/exchanges/{exchange}",
        exchanges::get(api::InNamespace, Empty) -> api::Exchange, 200;
    /// Create an exchange, or replace the settings of the one that is there; as with queues.
    put_exchange: PUT "/v1/exchanges/{exchange}",
        exchanges::put(api::InNamespace, Settings<api::ExchangeSettings>) -> api::Exchange, 200 or 201;
    /// Delete an exchange and its bindings. What was published stays in the queues.
    delete_exchange: DELETE "/v1/exchanges/{exchange}",
        exchanges::delete(api::InNamespace, Empty) -> (), 204;
    /// The bindings of an exchange.
    list_bindings: GET "/v1/exchanges/{exchange}/bindings",
        bindings::list(api::Page, Empty) -> api::BindingPage, 200;
    /// Bind a queue to an exchange. Binding again gives the binding that there is (200).
    create_binding: POST "/v1/exchanges/{exchange}/bindings",
        bindings::create(api::InNamespace, Json<api::NewBinding>) -> api::Binding, 201 or 200;
    /// A binding.
    get_binding: GET "/v1/bindings/{binding}",
        bindings::get(api::NoQuery, Empty) -> api::Binding, 200;
    /// Remove a binding.
    delete_binding: DELETE "/v1/bindings/{binding}",
        bindings::delete(api::NoQuery, Empty) -> (), 204;

    /// Ask to do the work of a key, so that it is done once.
    claim: POST "/v1/ledger/{key}/claim",
        ledger::claim(api::InNamespace, Json<api::NewClaim>) -> api::Claimed, 200;
    /// Let a claim run for longer.
    extend_claim: POST "/v1/ledger/{key}/extend",
        ledger::extend(api::InNamespace, Json<api::ExtendClaim>) -> api::EntryExpiry, 200;
    /// Save what came of the work. Later claims are told.
    complete_claim: POST "/v1/ledger/{key}/complete",
        ledger::complete(api::InNamespace, Json<api::CompleteClaim>) -> api::EntryExpiry, 200;
    /// Forget a claim, a result or a record.
    release_entry: POST "/v1/ledger/{key}/release",
        ledger::release(api::InNamespace, Json<api::ReleaseEntry>) -> (), 204;
    /// Set a record if it has not changed (compare and set).
    put_record: PUT "/v1/ledger/{key}",
        ledger::put(api::InNamespace, Json<api::PutRecord>) -> api::RecordVersion, 200;
    /// An entry of the ledger, with its value.
    get_entry: GET "/v1/ledger/{key}",
        ledger::get(api::InNamespace, Empty) -> api::LedgerEntry, 200;
    /// Entries of the ledger in order of key, without values.
    list_entries: GET "/v1/ledger",
        ledger::list(api::ListEntries, Empty) -> api::LedgerPage, 200;

    /// Schedules in order of name.
    list_schedules: GET "/v1/schedules",
        schedules::list(api::Page, Empty) -> api::SchedulePage, 200;
    /// A schedule.
    get_schedule: GET "/v1/schedules/{schedule}",
        schedules::get(api::InNamespace, Empty) -> api::Schedule, 200;
    /// Create a schedule, or replace the settings of the one that is there. Said again, it changes
    /// nothing.
    put_schedule: PUT "/v1/schedules/{schedule}",
        schedules::put(api::InNamespace, Settings<api::ScheduleSettings>) -> api::Schedule, 200 or 201;
    /// Change some settings of a schedule (JSON merge patch, RFC 7396): what is left out stays, what
    /// is `null` gets its default again, and an object with a `kind` is replaced as a whole.
    patch_schedule: PATCH "/v1/schedules/{schedule}",
        schedules::patch(api::InNamespace, Patch<api::ScheduleSettings>) -> api::Schedule, 200;
    /// Delete a schedule. What it has sent stays.
    delete_schedule: DELETE "/v1/schedules/{schedule}",
        schedules::delete(api::InNamespace, Empty) -> (), 204;
    /// Let a schedule not run.
    pause_schedule: POST "/v1/schedules/{schedule}/pause",
        schedules::pause(api::InNamespace, Empty) -> api::Schedule, 200;
    /// Let a schedule run again, from now on.
    resume_schedule: POST "/v1/schedules/{schedule}/resume",
        schedules::resume(api::InNamespace, Empty) -> api::Schedule, 200;
    /// One run now, beside those that are due.
    run_schedule: POST "/v1/schedules/{schedule}/run",
        schedules::run(api::InNamespace, Empty) -> api::ScheduleRun, 200;
    /// Run again, now, what was due in a time that is past; whether it ran then is not asked.
    backfill_schedule: POST "/v1/schedules/{schedule}/backfill",
        schedules::backfill(api::InNamespace, Settings<api::Backfill>) -> api::Backfilled, 200;
    /// The next runs of a schedule; none while it is paused.
    list_next_runs: GET "/v1/schedules/{schedule}/next-runs",
        schedules::next_runs(api::RunsQuery, Empty) -> api::NextRuns, 200;
    /// The runs that settings would bring, without a schedule.
    preview_schedule: POST "/v1/schedule-previews",
        schedules::preview(api::RunsQuery, Settings<api::RunsPreview>) -> api::NextRuns, 200;

    /// The server that runs here.
    get_server: GET "/v1/server",
        server::get(api::NoQuery, Empty) -> api::ServerInfo, 200;
    /// The counts and measures of the server.
    get_server_stats: GET "/v1/server/stats",
        server::stats(api::NoQuery, Empty) -> api::ServerStats, 200;
    /// The namespaces.
    list_namespaces: GET "/v1/namespaces",
        server::namespaces(api::NoQuery, Empty) -> api::Namespaces, 200;
    /// The document that describes this API (OpenAPI 3.1).
    get_openapi: GET "/v1/openapi.json",
        server::describe(api::NoQuery, Empty) -> serde_json::Value, 200;
}
