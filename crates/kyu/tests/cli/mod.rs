//! The verbs of the command against a real server: what is on standard output, and how it ends.

mod log;

use std::io::Write;
use std::process::{Command, Stdio};

use kyu::Server;
use serde_json::{Value, json};

use super::Dir;

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The output of a command that succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

fn run(url: &str, line: &str, input: &str) -> Ended {
    run_with(&[("KYU_URL", url)], line, input)
}

/// With these variables and no others of Kyu. A `~` within a word of the line is a space.
pub(crate) fn run_with(variables: &[(&str, &str)], line: &str, input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kyu"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KYU_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(line.split(' ').map(|word| word.replace('~', " ")))
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    Ended {
        code: ended.status.code().unwrap(),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_does_what_the_api_does() {
    let dir = Dir::new();
    let server = Server::start(dir.options()).await.unwrap();
    let url = server.http_url().unwrap();
    let conversation = tokio::task::spawn_blocking(move || converse(&url));
    conversation.await.unwrap();
    server.shutdown().await;
}

fn converse(url: &str) {
    let kyu = |line: &str| run(url, line, "");
    kyu("queue create dead").ok();
    let made = kyu(
        "queue create jobs visibility_timeout_ms=5000 dead_letter.queue=dead dead_letter.max_receives=3 -o json",
    );
    assert_eq!(
        made.json()["settings"]["dead_letter"],
        json!({ "queue": "dead", "max_receives": 3 })
    );
    assert_eq!(kyu("queue create jobs").code, 6);
    kyu("queue create jobs --if-not-exists").ok();
    assert_eq!(kyu("queue set jobs delay_ms=oops").code, 2);
    let wrong = kyu("queue set jobs retry={\"backoff\":{\"kind\":\"fixed\",\"delay_ms\":\"5m\"}}");
    assert!(wrong.stderr.starts_with("kyu: /retry"), "the field first: {wrong:?}");
    kyu("queue set jobs visibility_timeout_ms=60000").ok();

    kyu("send jobs hello --attribute k=v --lane l").ok();
    let lines = run(url, "send jobs --lines -o jsonl", "one\ntwo\n").ok();
    assert_eq!(lines.lines().count(), 2);
    let listed = kyu("queue list").ok();
    let mut rows = listed.lines();
    assert_eq!(rows.next().unwrap().split_whitespace().next(), Some("NAME"));
    let row: Vec<_> = rows.nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["jobs", "standard", "3", "0"]);
    let peeked = kyu("peek jobs -o jsonl").ok();
    assert_eq!(peeked.lines().count(), 3);

    let received = kyu("receive jobs --max 3 -o jsonl").ok();
    let messages: Vec<Value> =
        received.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&messages[0]["body"], &messages[0]["attributes"]),
        (&json!("hello"), &json!({ "k": "v" }))
    );
    let receipt = |at: usize| messages[at]["receipt"].as_str().unwrap();
    kyu(&format!("ack jobs {}", receipt(0))).ok();
    let again = kyu(&format!("ack jobs {}", receipt(0)));
    assert_eq!((again.code, again.stdout.as_str()), (6, "STATUS\ngone\n"));
    kyu(&format!("reject jobs {}", receipt(1))).ok();
    kyu(&format!("extend jobs {} --lease-ms 1000000", receipt(2))).ok();
    kyu(&format!("release jobs {} --uncounted", receipt(2))).ok();
    assert_eq!(kyu("receive jobs --ack -o json").json()["messages"][0]["body"], "two");

    // It returns when the move has ended, and is there before the next word.
    let moved = kyu("redrive dead -o json").json();
    assert_eq!((&moved["status"], &moved["moved"]), (&json!("completed"), &json!(1)));
    let back = kyu("receive jobs --ack -o json").json();
    assert_eq!(back["messages"][0]["body"], "one");
    assert!(kyu("redrive dead --list").ok().contains("completed"));
    kyu("send dead orphan").ok();
    let left = kyu("redrive dead");
    assert_ne!(left.code, 0, "nobody knows where it came from: {left:?}");
    kyu("queue purge dead --yes").ok();

    // One message, and those that have something in common.
    kyu("send dead a --attribute tenant=x --delay 1h").ok();
    kyu("send dead b --attribute tenant=y").ok();
    let seqs = |line: &str| -> Vec<u64> {
        let lines = kyu(line).ok();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect()
    };
    let (a, b) = (
        seqs("select dead --attribute tenant=x -o jsonl"),
        seqs("select dead --state ready -o jsonl"),
    );
    assert_eq!((a.len(), b.len()), (1, 1));
    assert_eq!(kyu(&format!("message run dead {} -o json", a[0])).json()["state"], "ready");
    assert_eq!(
        kyu(&format!("message set dead {} --delay 5m -o json", a[0])).json()["state"],
        "delayed"
    );
    kyu(&format!("message move dead {} --to jobs", a[0])).ok();
    assert_eq!(kyu(&format!("message cancel dead {}", a[0])).code, 5);
    assert_eq!(kyu("redrive dead --text b --max 5").code, 6, "it has no source");
    assert_eq!(kyu("redrive dead --text b --to jobs").code, 0);
    assert_eq!(kyu("select jobs --text b --cancel").code, 2, "it asks first");
    assert_eq!(seqs("select jobs --cancel --yes -o jsonl").len(), 2);

    kyu("pause jobs --for 1h").ok();
    assert!(kyu("queue get jobs").ok().contains("(in 1 h)"));
    kyu("pause jobs").ok();
    assert!(kyu("queue list").ok().contains("true"));
    kyu("resume jobs").ok();
    kyu("exchange create orders").ok();
    kyu("exchange bind orders jobs").ok();
    assert_eq!(run(url, "publish orders - -o json", "event").json()["queues"], 1);
    assert_eq!(kyu("status -o json").json()["queues"], 2);
    assert_eq!(kyu("api GET /v1/openapi.json").json()["openapi"], "3.1.0");

    let at = kyu("send jobs later --delay-ms 600000 -o json").json()["seq"].to_string();
    let explained = kyu(&format!("explain jobs {at}")).ok();
    assert!(
        explained.starts_with("held back: delayed, ready in "),
        "the sentence first: {explained}"
    );
    assert!(!explained.contains("null"), "{explained}");
    assert_eq!(kyu("send jobs later --at +1h").code, 0);
    assert_eq!(kyu("send jobs later --at 18:00").code, 2);
    assert!(kyu("peek jobs --all").ok().contains("delayed"));
    let put =
        kyu("schedule put tick --every-ms 3600000 --queue jobs --body t jitter_ms=1000 -o json");
    assert_eq!(put.json()["settings"]["jitter_ms"], 1000);
    assert_eq!(kyu("schedule run tick -o json").json()["outcome"], "sent");
    assert_eq!(kyu("schedule next tick --max 3 -o jsonl").ok().lines().count(), 3);
    assert!(kyu("schedule list").ok().contains("tick"));
    assert_eq!(
        kyu("schedule preview --cron @daily --queue jobs -o jsonl").ok().lines().count(),
        10
    );
    // What is not given stays, unless all of it is to be replaced.
    let settings = |line: &str| kyu(line).json()["settings"].take();
    let set = settings("schedule put tick --cron 0~3~*~*~* --time-zone Europe/Berlin -o json");
    assert_eq!((&set["message"]["body"], &set["jitter_ms"]), (&json!("t"), &json!(1000)));
    let set = settings("schedule set tick --cron 0~4~*~*~* --body u -o json");
    assert_eq!(
        (&set["rule"]["time_zone"], &set["message"]["body"]),
        (&json!("Europe/Berlin"), &json!("u"))
    );
    assert!(kyu("schedule get tick").ok().contains(" 04:00:00+0"));
    let replaced = settings("schedule put tick --every 15m --queue jobs --replace -o json");
    assert_eq!(
        (&replaced["rule"]["interval_ms"], &replaced["message"]["body"]),
        (&json!(900_000), &json!(""))
    );
    assert_eq!(kyu("schedule set tock --every 15m").code, 5);
    assert_eq!(kyu("schedule put tock --every 15m").code, 2);
    kyu("schedule set tick --cron */15~*~*~*~*").ok();
    assert_eq!(
        kyu("schedule backfill tick --from -2h --until -1h -o jsonl").ok().lines().count(),
        4
    );
    kyu("schedule delete tick --yes").ok();

    let unasked = kyu("queue delete jobs");
    assert_eq!((unasked.code, unasked.stdout.as_str()), (2, ""));
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert_eq!(kyu("queue purge jobs --yes -o json").json()["purged_messages"], 8);
    assert_eq!(kyu("queue delete jobs --yes").ok(), "");
    assert_eq!(kyu("queue get jobs").code, 5);
    assert_eq!(
        kyu("--url http://127.0.0.1:1 queue list").code,
        2,
        "which verb it is for, is not said"
    );
    assert_eq!(kyu("queue list --url http://127.0.0.1:1").code, 8);
    assert_eq!(kyu("queue --url ftp://x list").code, 2);
    assert_eq!(kyu("queue").code, 2);
}
