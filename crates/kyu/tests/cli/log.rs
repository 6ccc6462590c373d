//! `kyu log verify` and `kyu log repair` say what a start finds, and how they end tells a script.

use std::fs;
use std::path::Path;

use kyu::Server;

use super::run_with;
use crate::{Dir, call};

/// A stopped server with a queue and 3 messages in the first segment.
async fn stopped() -> Dir {
    let dir = Dir::new();
    let server = Server::start(dir.options()).await.unwrap();
    call(&server, "CreateQueue", r#"{"QueueName":"jobs"}"#).await;
    for _ in 0..3 {
        let send = r#"{"QueueUrl":"http://x/000000000000/jobs","MessageBody":"kept"}"#;
        assert!(call(&server, "SendMessage", send).await.starts_with("HTTP/1.1 200"));
    }
    server.shutdown().await;
    dir
}

fn segment(dir: &Dir, number: u64) -> std::path::PathBuf {
    dir.0.join(format!("{number:020}.log"))
}

/// Exit code and standard error.
fn kyu(verb: &str, dir: &Path) -> (i32, String) {
    let ended = run_with(&[], &format!("log {verb} --data {}", dir.display()), "");
    (ended.code, ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_damage_is_left_alone() {
    let dir = stopped().await;
    assert_eq!(kyu("verify", &dir.0), (0, "no damage; segments: 1\n".into()));
    let (code, said) = kyu("repair --yes", &dir.0);
    assert!(code == 0 && said.contains("nothing to repair"), "{said}");
    let (code, said) = kyu("verify", &dir.0.join("nowhere"));
    assert!(code == 2 && said.contains("no such directory"), "{said}");
}

/// A segment that had been prepared and not written to was cut: the start refused it, and neither
/// command saw anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_segment_is_told_and_repaired() {
    let dir = stopped().await;
    fs::OpenOptions::new().write(true).open(segment(&dir, 2)).unwrap().set_len(5_000).unwrap();
    let refused = Server::start(dir.options()).await.err().unwrap().to_string();
    assert!(refused.contains("is 5000 bytes long"), "{refused}");
    let (code, said) = kyu("verify", &dir.0);
    assert!(code == 3 && said.contains(&refused), "{said}");
    let (code, said) = kyu("repair", &dir.0);
    assert!(code == 2 && said.contains("4194304 bytes long again"), "asks first: {said}");
    assert_eq!(kyu("repair --yes", &dir.0).0, 0);
    assert_eq!(kyu("verify", &dir.0).0, 0);
    Server::start(dir.options()).await.unwrap().shutdown().await;
}

/// The messages lie in the first segment, which no start reads once a snapshot is behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_is_named_with_its_messages() {
    let dir = stopped().await;
    fs::rename(segment(&dir, 1), dir.0.join("elsewhere")).unwrap();
    let refused = Server::start(dir.options()).await.err().unwrap().to_string();
    assert!(refused.contains("00000000000000000001.log"), "{refused}");
    let (code, said) = kyu("verify", &dir.0);
    assert!(code == 3 && said.contains(&refused), "{said}");
    // Putting the file back is all it takes: nothing was changed by the tries.
    fs::rename(dir.0.join("elsewhere"), segment(&dir, 1)).unwrap();
    assert_eq!(kyu("verify", &dir.0).0, 0);

    fs::remove_file(segment(&dir, 1)).unwrap();
    let (code, said) = kyu("repair --yes", &dir.0);
    assert!(code == 0 && said.contains("3 of queue 000000000000/jobs"), "{said}");
    let (code, said) = kyu("verify", &dir.0);
    assert!(code == 3 && said.contains("3 messages cannot be read back"), "{said}");
    let server = Server::start(dir.options()).await.unwrap();
    let receive = r#"{"QueueUrl":"http://x/000000000000/jobs"}"#;
    let answer = call(&server, "ReceiveMessage", receive).await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("kept"), "{answer}");
    let send = r#"{"QueueUrl":"http://x/000000000000/jobs","MessageBody":"new"}"#;
    assert!(call(&server, "SendMessage", send).await.starts_with("HTTP/1.1 200"));
    server.shutdown().await;
}
