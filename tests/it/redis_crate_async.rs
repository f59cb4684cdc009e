//! The asynchronous side of the `redis` crate: pub/sub as a stream, blocking commands beside others, MULTI and WATCH,
//! invalidation pushes of client-side caching. What an application on tokio does.

use crate::harness::Server;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, PushInfo, PushKind, RedisResult, Value, pipe};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { timeout(SOON, work).await.expect("it hangs") })
}

fn client(server: &Server, protocol: &str) -> redis::Client {
    let url = format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port);
    redis::Client::open(url).expect("a URL")
}

async fn connect(server: &Server) -> MultiplexedConnection {
    // Blocking commands answer when they like.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    client(server, "resp2")
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a connection")
}

/// A RESP3 connection, and what is pushed to it.
async fn connect3(server: &Server) -> (MultiplexedConnection, UnboundedReceiver<PushInfo>) {
    let (sender, pushes) = unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender);
    let con = client(server, "resp3")
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a connection");
    (con, pushes)
}

#[test]
fn messages_as_a_stream() {
    let server = Server::start(&[]);
    run(async {
        let mut con = connect(&server).await;
        let mut pubsub = client(&server, "resp2")
            .get_async_pubsub()
            .await
            .expect("pub/sub");
        pubsub.subscribe(&["news", "sport"]).await.expect("ok");
        pubsub.psubscribe("n*").await.expect("ok");
        let heard: i64 = con.publish("news", "first").await.expect("PUBLISH");
        assert_eq!(heard, 2);
        for i in 0..100 {
            let () = con.publish("sport", i).await.expect("PUBLISH");
        }
        let mut messages = pubsub.into_on_message();
        for pattern in [false, true] {
            let m = messages.next().await.expect("a message");
            assert_eq!(m.from_pattern(), pattern);
            assert_eq!(m.get_channel_name(), "news");
            assert_eq!(m.get_payload::<String>().expect("text"), "first");
        }
        for i in 0..100 {
            let m = messages.next().await.expect("a message");
            assert_eq!(m.get_payload::<i64>().expect("a number"), i, "in order");
        }
    });
}

#[test]
fn a_resp3_connection_hears_and_asks_at_once() {
    let server = Server::start(&[]);
    run(async {
        let (mut con, mut pushes) = connect3(&server).await;
        let mut other = connect(&server).await;
        con.subscribe("news").await.expect("SUBSCRIBE");
        let subscribed = pushes.recv().await.expect("a push");
        assert_eq!(subscribed.kind, PushKind::Subscribe);
        // Commands go on, messages come between their replies.
        let () = con.set("k", 1).await.expect("SET");
        let () = other.publish("news", "hello").await.expect("PUBLISH");
        let n: i64 = con.incr("k", 1).await.expect("INCR");
        assert_eq!(n, 2);
        let heard = pushes.recv().await.expect("a push");
        assert_eq!(heard.kind, PushKind::Message);
        assert_eq!(heard.data[1], Value::BulkString(b"hello".to_vec()));
    });
}

#[test]
fn a_queue_is_waited_for() {
    let server = Server::start(&[]);
    run(async {
        let (mut worker, mut boss) = (connect(&server).await, connect(&server).await);
        let waiting = tokio::spawn(async move {
            let got: RedisResult<(String, String)> = worker.blpop(&["jobs", "more"], 0.0).await;
            let moved: RedisResult<String> = redis::cmd("BLMOVE")
                .arg(&["jobs", "done", "LEFT", "RIGHT", "0"])
                .query_async(&mut worker)
                .await;
            (got, moved)
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        let () = boss.rpush("more", "a").await.expect("RPUSH");
        tokio::time::sleep(Duration::from_millis(30)).await;
        let () = boss.rpush("jobs", "b").await.expect("RPUSH");
        let (got, moved) = waiting.await.expect("the worker");
        assert_eq!(got.expect("BLPOP"), ("more".into(), "a".into()));
        assert_eq!(moved.expect("BLMOVE"), "b");
        let done: Vec<String> = boss.lrange("done", 0, -1).await.expect("LRANGE");
        assert_eq!(done, ["b"]);
        // Nothing comes: the wait ends when it should.
        let start = Instant::now();
        let none: Option<(String, String)> = boss.blpop("jobs", 0.2).await.expect("BLPOP");
        let waited = start.elapsed();
        assert!(
            none.is_none() && waited >= Duration::from_millis(195),
            "{waited:?}"
        );
        assert!(waited < Duration::from_secs(2), "{waited:?}");
    });
}

#[test]
fn transactions_see_who_came_between() {
    let server = Server::start(&[]);
    run(async {
        let (mut a, mut b) = (connect(&server).await, connect(&server).await);
        let () = a.set("balance", 10).await.expect("SET");
        let watch = redis::cmd("WATCH").arg("balance").to_owned();
        let mut spend = pipe();
        spend.atomic().decr("balance", 3).incr("spent", 3);
        // Undisturbed: both commands run, and only their results come back.
        let () = watch.query_async(&mut a).await.expect("WATCH");
        let done: Option<(i64, i64)> = spend.query_async(&mut a).await.expect("EXEC");
        assert_eq!(done, Some((7, 3)));
        // Somebody writes in between: nothing runs.
        let () = watch.query_async(&mut a).await.expect("WATCH");
        let () = b.set("balance", 100).await.expect("SET");
        let done: Option<(i64, i64)> = spend.query_async(&mut a).await.expect("EXEC");
        assert_eq!(done, None);
        let left: (i64, i64) = b.mget(&["balance", "spent"]).await.expect("MGET");
        assert_eq!(left, (100, 3));
        // Many tasks share a connection; each transaction stays one.
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let mut con = a.clone();
                tokio::spawn(async move {
                    let r: RedisResult<(i64, i64)> = pipe()
                        .atomic()
                        .incr("x", 1)
                        .incr("y", 1)
                        .query_async(&mut con)
                        .await;
                    r.expect("EXEC")
                })
            })
            .collect();
        for task in tasks {
            let (x, y) = task.await.expect("a task");
            assert_eq!(x, y);
        }
    });
}

#[test]
fn caches_are_told_what_is_stale() {
    let server = Server::start(&[]);
    run(async {
        let (mut caching, mut pushes) = connect3(&server).await;
        let mut writer = connect(&server).await;
        let () = writer.mset(&[("a", 1), ("b", 2)]).await.expect("MSET");
        let () = redis::cmd("CLIENT")
            .arg(&["TRACKING", "ON"])
            .query_async(&mut caching)
            .await
            .expect("CLIENT TRACKING");
        let both: (i64, i64) = caching.mget(&["a", "b"]).await.expect("MGET");
        assert_eq!(both, (1, 2));
        let () = writer.incr("b", 1).await.expect("INCR");
        let stale = pushes.recv().await.expect("a push");
        assert_eq!(stale.kind, PushKind::Invalidate);
        assert_eq!(
            stale.data,
            [Value::Array(vec![Value::BulkString(b"b".to_vec())])]
        );
        // Told once: the key counts again only when it is read again.
        let () = writer.incr("b", 1).await.expect("INCR");
        let () = writer.del("a").await.expect("DEL");
        let stale = pushes.recv().await.expect("a push");
        assert_eq!(
            stale.data,
            [Value::Array(vec![Value::BulkString(b"a".to_vec())])]
        );
        let () = redis::cmd("FLUSHALL")
            .query_async(&mut writer)
            .await
            .expect("FLUSHALL");
        let all = pushes.recv().await.expect("a push");
        assert_eq!(
            (all.kind, all.data),
            (PushKind::Invalidate, vec![Value::Nil])
        );
    });
}
